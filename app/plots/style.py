"""Looks of all pictures: colours, scales, legends, and how a figure becomes a file.

Colours are those of Okabe and Ito (2008), distinct for the colour-blind; line styles and markers distinguish the
curves in black and white.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.plots.pictures import FileFormat, Scale

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#999999"
LEGEND_AT_MOST = 12
_MARKERS_AT_MOST = 50
"""A longer curve has a marker at some of its epochs only: a file would be a marker for each."""
LOGARITHMIC_FROM = 100.0
"""Largest to smallest value, from which a linear axis would hide all but the largest."""

# The same figures give the same bytes.
mpl.rcParams.update({"svg.hashsalt": "fittingroom", "svg.fonttype": "path"})


def look_of(number: int) -> dict[str, Any]:
    """Return colour, line style and marker of a curve."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number % len(STYLES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def between_markers(points: Sequence[object]) -> int:
    """Return after how many points of a curve a marker stands."""
    return 1 + len(points) // _MARKERS_AT_MOST


def shown_label(label: str) -> str:
    """Return a label that matplotlib shows: it leaves out those that begin with an underscore."""
    return f" {label}" if label.startswith("_") else label


def mean_of(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def set_scale(axes: Axes, scale: Scale, values: Sequence[float], if_none: str) -> None:
    """Set the scale of the values; say so where there are none."""
    is_positive = bool(values) and min(values) > 0
    if scale == "log" and values:
        # A symmetric scale can show what is 0 or less, too.
        axes.set_yscale("log") if is_positive else axes.set_yscale("symlog", linthresh=1e-3)
    elif scale == "auto" and is_positive and max(values) / min(values) >= LOGARITHMIC_FROM:
        axes.set_yscale("log")
    if not values:
        axes.text(0.5, 0.5, if_none, transform=axes.transAxes, ha="center", va="center", color="#666666")


def draw_legend(axes: Axes) -> None:
    """Draw the legend, in columns if it is long."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 1 + (len(handles) - 1) // LEGEND_AT_MOST
        for text in axes.legend(handles, labels, frameon=False, fontsize=9, ncols=columns).get_texts():
            text.set_parse_math(False)


def save_figure(figure: Figure, title: str, file_format: FileFormat) -> bytes:
    """Return the figure as a file."""
    for number, axes in enumerate(figure.axes):
        if number == 0:
            axes.set_title(title, loc="left", fontsize=12, parse_math=False)
        axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    sheet = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name may be in any script
        if file_format == "svg":
            figure.savefig(sheet, format="svg", metadata={"Date": None})
        else:
            figure.savefig(sheet, format="png", dpi=144, metadata={"Software": None})
    return sheet.getvalue()
