"""The commands on a trained network: measuring it, asking it, and fetching it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fittingroom.cli.options import DEFAULT_URL, AsJson, Key, Url
from fittingroom.cli.output import connected, print_one, refuse, say

if TYPE_CHECKING:
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
        typer.Argument(help="JSON array of rows: numbers, or values by column; `-`: standard input.", allow_dash=True),
    ],
    *, as_json: AsJson = False, url: Url = DEFAULT_URL, key: Key = None,
) -> None:  # fmt: skip
    """Predict rows with a trial's network: one line for each."""
    try:
        rows = json.loads(sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        refuse(f"{file}: expected a JSON array of rows: {error}")
    if not isinstance(rows, list):
        refuse(f"{file}: expected a JSON array of rows, found {type(rows).__name__}")
    with connected(url, key) as client:
        found = client.predict(trial_id, rows)
    print_one(found, as_json=as_json, line="\n".join(_lines(found.predictions)))


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
