"""Histories as people compute with them: floats in lists, CSV, a pandas frame."""

import csv
import io
from collections.abc import Sequence
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


def csv_of(views: Sequence[TrialHistoryView]) -> str:
    """A table: one line an epoch, a column a metric, the trial in front."""
    names = list(dict.fromkeys(name for view in views for name in view.history))
    sheet = io.StringIO()
    writer = csv.writer(sheet)
    writer.writerow(["trial_id", "trial", "label", *names])
    for view in views:
        columns = [view.history.get(name, []) for name in names]
        for line in range(len(view.history["epoch"])):
            values = [column[line] if column else None for column in columns]
            writer.writerow([view.trial_id, view.number, view.label, *values])
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
