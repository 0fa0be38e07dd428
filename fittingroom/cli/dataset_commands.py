"""The commands that manage datasets: list, upload, delete."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import DEFAULT_URL, AsJson, Key, Url
from fittingroom.cli.output import connected, print_all, print_one, say

if TYPE_CHECKING:
    from fittingroom.specs.datasets import DatasetSchema

datasets = typer.Typer(help="Manage datasets: list, upload, delete.", no_args_is_help=True)


@datasets.command("list")
def list_datasets(*, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """List datasets."""
    with connected(url, key) as client:
        found = client.list_datasets()
    from fittingroom.cli.tables import datasets_table  # noqa: PLC0415

    print_all(found, as_json=as_json, shown=lambda: datasets_table(found))


@datasets.command("upload")
def upload_dataset(  # noqa: PLR0913 - options
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Parquet or NPZ file.")],
    *, name: Annotated[str, typer.Option(help="Name by which specs refer to the dataset.")],
    target: Annotated[str | None, typer.Option(help="Target column. Default: target.")] = None,
    task: Annotated[str, typer.Option(help="Type of the target: auto, classification or regression.")] = "auto",
    ignore: Annotated[list[str] | None, typer.Option(help="Column to leave out. Repeatable.")] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="Column whose values are categories. Repeatable.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that says which rows belong together, for the split by group.")
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="Character between the columns of CSV, or tab. Default: as in the first line.")
    ] = None,
    decimal: Annotated[str, typer.Option(help="Decimal point of CSV: . or ,")] = ".",
    thousands: Annotated[str | None, typer.Option(help="Character between groups of three digits in CSV.")] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="Further text that marks a missing value in CSV. Repeatable.")
    ] = None,
    default_missing: Annotated[
        bool, typer.Option(help="Take NA, None, null and the like in CSV for a missing value.")
    ] = True,
    drop_missing_target: Annotated[
        bool, typer.Option("--drop-missing-target", help="Leave out rows without a target.")
    ] = False,
    charset: Annotated[
        str | None, typer.Option(help="Encoding of CSV, such as windows-1252. Default: UTF-8.")
    ] = None,
    description: Annotated[str, typer.Option(help="Description of the dataset.")] = "",
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Upload a dataset."""
    with connected(url, key) as client:
        found = client.upload_dataset(
            file, name, target=target, task=task, ignore=ignore or (), categorical=categorical or (), group=group,
            separator=separator, decimal=decimal, thousands=thousands, missing=missing or (),
            default_missing=default_missing, drop_missing_target=drop_missing_target, charset=charset,
            description=description,
        )  # fmt: skip
    print_one(found, as_json=as_json, line="\n".join(_report(found)))


def _report(found: "DatasetSchema") -> list[str]:
    """Return what became of a file, in lines."""
    lines = [f"{found.name}: {found.rows:,} rows of {found.features} features, for {found.task}"]
    lines += [
        f"  {column.name}: {column.kind}" + (f", missing in {column.missing:,} rows" if column.missing else "")
        for column in found.columns
    ]
    if found.group is not None:
        lines.append(f"  {found.group}: {found.groups:,} groups")
    if found.left_out:
        lines.append(f"  left out as a pandas index: {', '.join(found.left_out)}")
    if found.dropped_rows:
        lines.append(f"  {found.dropped_rows:,} rows without a target are left out")
    return lines + [f"  {note}" for note in found.notes]


@datasets.command("delete")
def delete_dataset(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Delete a dataset that no unfinished experiment uses."""
    with connected(url, key) as client:
        client.delete_dataset(name)
    say(json.dumps({"deleted": name}) if as_json else f"{name} is deleted")
