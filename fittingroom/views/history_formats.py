"""Histories as people compute with them: floats in lists, CSV, a pandas frame."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from fittingroom.views.resources import TrialHistoryView

if TYPE_CHECKING:
    import pandas as pd

Floats = dict[str, list[Any]]


def as_floats(view: TrialHistoryView) -> Floats:
    """`{"epoch": [1, 2], "loss": [0.7, nan], …}`: "NaN" is a float again; None where nothing was recorded."""
    return {
        name: list(values) if name == "epoch" else [None if value is None else float(value) for value in values]
        for name, values in view.history.items()
    }


def csv_lines(metrics: Sequence[str], pages: Iterable[Sequence[TrialHistoryView]]) -> Iterator[str]:
    """Write a table: one line an epoch, a column a metric, the trial in front.

    Args:
        metrics: the names of the columns after `epoch`.
        pages: histories, some at a time.

    Yields:
        The line of headings, then the lines of each page.
    """
    yield _csv([["trial_id", "trial", "label", "epoch", *metrics]])
    for views in pages:
        yield _csv(
            [view.trial_id, view.number, view.label, *values]
            for view in views
            if view.history["epoch"]
            for values in zip(*[view.history.get(name) or repeat(None) for name in ["epoch", *metrics]], strict=False)
        )


def csv_of(views: Sequence[TrialHistoryView]) -> str:
    """Write the same table at once."""
    metrics = dict.fromkeys(name for view in views for name in view.history if name != "epoch")
    return "".join(csv_lines(list(metrics), [views]))


def _csv(rows: Iterable[Sequence[object]]) -> str:
    sheet = io.StringIO()
    csv.writer(sheet).writerows(rows)
    return sheet.getvalue()


def as_frame(views: Sequence[TrialHistoryView]) -> "pd.DataFrame":
    """One row an epoch: trial_id, trial, label, epoch, and a column a metric.

    Raises:
        ImportError: pandas is not installed.
    """
    import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs it

    columns = ["trial_id", "trial", "label", "epoch"]
    frames = [
        pd.DataFrame({"trial_id": view.trial_id, "trial": view.number, "label": view.label} | as_floats(view))
        for view in views
        if view.history["epoch"]  # one without epochs has no metrics either, and would make its columns floats
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
