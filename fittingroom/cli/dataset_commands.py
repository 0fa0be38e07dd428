"""The commands that manage datasets: list, upload, delete."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fittingroom.cli.options import DEFAULT_URL, AsJson, Key, Url
from fittingroom.cli.output import connected, print_all, print_one, say

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
        list[str] | None, typer.Option(help="Column of numbers that are categories. Repeatable.")
    ] = None,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Upload a dataset."""
    with connected(url, key) as client:
        found = client.upload_dataset(
            file, name, target=target, task=task, ignore=ignore or (), categorical=categorical or ()
        )
    line = f"{found.name}: {found.rows:,} rows of {found.features} features"
    if found.left_out:
        line += f"; left out as a pandas index: {', '.join(found.left_out)}"
    print_one(found, as_json=as_json, line=line)


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
