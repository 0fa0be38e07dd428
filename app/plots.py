"""Curves as pictures.

May import: matplotlib. Knows neither SQL nor HTTP. Colours are those of Okabe and Ito (2008), told apart by the
colour-blind; line styles and markers tell the curves apart in black and white.
"""

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LEGEND_AT_MOST = 12
_LOGARITHMIC_FROM = 100.0
"""Largest to smallest value, from which a linear axis would hide all but the largest."""

# The same figures give the same bytes.
_SETTINGS: Any = {"svg.hashsalt": "fittingroom", "svg.fonttype": "path"}


@dataclass(frozen=True)
class Curve:
    """One trial's values of one metric."""

    label: str
    points: Sequence[tuple[int, float]]
    """Epoch, from 1, and value; NaN and infinities are left out of the picture."""
    best_epoch: int | None
    """The epoch to mark."""


def draw_curves(title: str, metric: str, curves: Sequence[Curve]) -> bytes:
    """Draw one metric of several trials over the epochs.

    Returns:
        An SVG document.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, curve in enumerate(curves):
        _draw(axes, curve, number)
    values = [value for curve in curves for _, value in _finite(curve)]
    if values and min(values) > 0 and max(values) / min(values) >= _LOGARITHMIC_FROM:
        axes.set_yscale("log")
    if not values:
        axes.text(0.5, 0.5, "no epochs yet", transform=axes.transAxes, ha="center", va="center", color="#666666")
    axes.set_title(title, loc="left", fontsize=12, parse_math=False)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric, parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if 1 < len(curves) <= _LEGEND_AT_MOST:
        for text in axes.legend(frameon=False).get_texts():
            text.set_parse_math(False)
    sheet = io.BytesIO()
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name may be in any script
        figure.savefig(sheet, format="svg", metadata={"Date": None})
    return sheet.getvalue()


def _finite(curve: Curve) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in curve.points if math.isfinite(value)]


def _draw(axes: Axes, curve: Curve, number: int) -> None:
    points = _finite(curve)
    colour = _COLOURS[number % len(_COLOURS)]
    axes.plot(
        [epoch for epoch, _ in points],
        [value for _, value in points],
        color=colour,
        linestyle=_STYLES[number % len(_STYLES)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        linewidth=1.6,
        label=curve.label,
    )
    best = [point for point in points if point[0] == curve.best_epoch]
    ring: Any = {"markerfacecolor": "none", "markeredgecolor": colour, "markeredgewidth": 1.6}
    axes.plot(*zip(*best, strict=True), marker="o", markersize=11, linestyle="none", **ring)
