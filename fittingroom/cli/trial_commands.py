"""The commands on a trained network: measuring it, asking it, and fetching it."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fittingroom.cli.options import DEFAULT_URL, AsJson, Key, Url
from fittingroom.cli.output import connected, print_one, refuse, say

if TYPE_CHECKING:
    from fittingroom.specs.prediction import Value
    from fittingroom.views.resources import Predictions

commands = typer.Typer()

TrialId = Annotated[str, typer.Argument(help="Trial id: trl_…")]


@commands.command()
def evaluate(
    trial_id: TrialId,
    *, dataset: Annotated[
        str | None, typer.Option(help="Dataset with the same columns. Default: the rows that test_split set aside.")
    ] = None,
    as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Measure a trial's network on its test rows or on another dataset, as Keras's model.evaluate does."""
    with connected(url, key) as client:
        found = client.evaluate(trial_id, dataset)
    numbers = ", ".join(f"{name} {float(value):.6g}" for name, value in found.metrics.items())
    line = f"{found.dataset}, {found.rows:,} rows, weights of epoch {found.epoch}: {numbers}"
    print_one(found, as_json=as_json, line=line)


@commands.command()
def predict(
    trial_id: TrialId,
    file: Annotated[
        Path,
        typer.Argument(
            help="Rows: CSV with the dataset's columns (`.csv`), or a JSON array of rows of numbers, or of values by "
            "column; `-`: JSON from standard input.",
            allow_dash=True,
        ),
    ],
    *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Predict rows with a trial's network: one line for each."""
    rows = _records(file) if file.suffix.lower() == ".csv" else _json_rows(file)
    with connected(url, key) as client:
        found = client.predict(trial_id, rows)
    print_one(found, as_json=as_json, line="\n".join(_lines(found.predictions)))


def _json_rows(file: Path) -> list[Any]:
    try:
        rows = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        refuse(f"{file}: expected a JSON array of rows: {error}")
    if not isinstance(rows, list):
        refuse(f"{file}: expected a JSON array of rows, found {type(rows).__name__}")
    return rows


def _records(file: Path) -> list[dict[str, "Value"]]:
    """Return the rows of a CSV file as values by column; an empty cell is a missing value."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            header, *rows = csv.reader(text, strict=True)
    except (OSError, ValueError, csv.Error) as error:
        refuse(f"{file}: expected CSV with a header: {error}")
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            refuse(f"{file}, row {number}: found {len(row)} cells, and the header has {len(header)}")
    return [dict(zip(header, map(_value, row), strict=True)) for row in rows if row]


def _value(cell: str) -> "Value":
    """Return the number, true or false that a cell is, or its text; one with zeros in front is a name."""
    if not cell:
        return None
    if cell.lower() in {"true", "false"}:
        return cell.lower() == "true"
    try:
        number = float(cell)
    except ValueError:
        return cell
    if cell.isdecimal() and cell.startswith("0") and cell != "0":
        return cell
    return number if math.isfinite(number) else cell


def _lines(predictions: "Predictions | dict[str, Predictions]") -> list[str]:
    """Return predictions as lines; of several outputs with the name of each."""
    if isinstance(predictions, dict):
        return [f"{name}: {line}" for name, some in predictions.items() for line in _lines(some)]
    return [one if isinstance(one, str) else json.dumps(one) for one in predictions]


@commands.command()
def download(
    trial_id: TrialId,
    output: Annotated[Path, typer.Option("--output", "-o", help="Output file: .keras.")],
    *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Write a trial's network, with the weights of its best epoch, as a .keras file."""
    if output.suffix != ".keras":
        refuse(f"{output}: expected a file that ends in .keras")
    with connected(url, key) as client:
        client.download(trial_id, output)
    say(json.dumps({"written": str(output)}) if as_json else output)
