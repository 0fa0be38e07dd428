"""Curves and sweeps as pictures.

Colours are those of Okabe and Ito (2008), distinct for the colour-blind; line styles and markers distinguish the
curves in black and white.
"""

import io
import itertools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from app.plots.pictures import Curve, CurvesPicture, FileFormat, Picture, ProgressPicture, Scale, SweepPicture

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#999999"
_LEGEND_AT_MOST = 12
_MARKERS_AT_MOST = 50
"""A longer curve has a marker at some of its epochs only: a file would be a marker for each."""
_LOGARITHMIC_FROM = 100.0
"""Largest to smallest value, from which a linear axis would hide all but the largest."""

# The same figures give the same bytes.
mpl.rcParams.update({"svg.hashsalt": "fittingroom", "svg.fonttype": "path"})


def draw(picture: Picture) -> bytes:
    """Draw a picture; returns the bytes of the file."""
    match picture:
        case CurvesPicture():
            return _draw_curves(picture)
        case SweepPicture():
            return _draw_sweep(picture)
        case ProgressPicture():
            return _draw_progress(picture)


def _draw_curves(picture: CurvesPicture) -> bytes:
    curves = picture.curves
    metrics = list(dict.fromkeys(curve.metric for curve in curves)) or [""]
    panels = [[metric] for metric in metrics] if picture.layout == "apart" else [metrics]
    figure = Figure(figsize=(8, 4.5) if len(panels) == 1 else (8, 3.2 * len(panels)), layout="constrained")
    for axes, shown in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels, strict=True):
        mine = [curve for curve in curves if curve.metric in shown]
        if picture.seeds == "band":
            _draw_bands(axes, mine, shown)
        else:
            _draw_each(axes, mine, shown)
        values = [value for curve in mine for value in curve.values]
        _set_scale(axes, picture.scale, values, "no epochs with finite values")
        axes.set_xlabel("epoch")
        axes.set_ylabel(" and ".join(shown), parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _saved(figure, picture.title, picture.file_format)


def _draw_sweep(picture: SweepPicture) -> bytes:
    reached = picture.reached
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    numbers = [found.x for found in reached if not isinstance(found.x, str)]
    is_numeric = len(numbers) == len(reached)
    series = list(dict.fromkeys(found.series for found in reached))
    for number, name in enumerate(series):
        dots = [(found.x if is_numeric else str(found.x), found.value) for found in reached if found.series == name]
        look = _look(number)
        places = sorted({x for x, _ in dots}) if is_numeric else list(dict.fromkeys(x for x, _ in dots))
        means = [_mean([value for x, value in dots if x == place]) for place in places]
        many = len(series) > _LEGEND_AT_MOST
        colour = _GREY if many else look["color"]
        through: Any = {"linestyle": look["linestyle"]} if is_numeric else {"linestyle": "", "marker": "_", "ms": 22}
        axes.plot(places, means, color=colour, linewidth=1.2, alpha=0.8, **through)
        axes.plot(
            *zip(*dots, strict=True), linestyle="none", marker=look["marker"], markersize=6, markerfacecolor="none",
            markeredgecolor=colour, label=_said(name),
        )  # fmt: skip
    if is_numeric and numbers and min(numbers) > 0 and max(numbers) / min(numbers) >= _LOGARITHMIC_FROM:
        axes.set_xscale("log")
    _set_scale(axes, picture.scale, [found.value for found in reached], "no trial has a finite value")
    axes.set_xlabel(picture.hyperparameter, parse_math=False)
    axes.set_ylabel(f"{picture.objective} at the best epoch", parse_math=False)
    if 1 < len(series) <= _LEGEND_AT_MOST:
        _legend(axes)
    return _saved(figure, picture.title, picture.file_format)


def _draw_progress(picture: ProgressPicture) -> bytes:
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    efforts, values = [effort for effort, _ in picture.reached], [value for _, value in picture.reached]
    best = list(itertools.accumulate(values, min if picture.direction == "minimize" else max))
    axes.plot(efforts, values, linestyle="none", marker="o", markersize=4, color=_GREY, alpha=0.7, label="a trial")
    axes.step(efforts, best, where="post", color=_COLOURS[0], linewidth=1.8, label="best so far")
    _set_scale(axes, picture.scale, values, "no trial has a finite value")
    axes.set_xlabel(picture.effort)
    axes.set_ylabel(f"{picture.objective} at the best epoch", parse_math=False)
    _legend(axes)
    return _saved(figure, picture.title, picture.file_format)


def _draw_each(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """Draw a curve per trial; of many, only the leading one has a colour."""
    labels = {label: number for number, label in enumerate(dict.fromkeys(curve.label for curve in curves))}
    too_many = len(labels) > _LEGEND_AT_MOST
    if too_many:
        _draw_grey(axes, [curve for curve in curves if not curve.is_leading], metrics)
        curves = [curve for curve in curves if curve.is_leading]
    for curve in curves:
        look = _look(labels[curve.label])
        if too_many:
            look = {"color": _COLOURS[0], "linestyle": "-", "marker": "", "zorder": 3}
        if len(metrics) > 1:
            look["linestyle"] = _style_of(curve, metrics)
        axes.plot(
            curve.epochs, curve.values, markersize=4, linewidth=1.6, markevery=_between_markers(curve.epochs),
            label=_said(f"{curve.label}: {curve.metric}" if len(metrics) > 1 else curve.label), **look,
        )  # fmt: skip
        best = [point for point in _points(curve) if point[0] == curve.best_epoch]
        ring: Any = {"markerfacecolor": "none", "markeredgecolor": look["color"], "markeredgewidth": 1.6}
        axes.plot(*zip(*best, strict=True), marker="o", markersize=11, linestyle="none", **ring)
    if len(labels) * len(metrics) > 1:
        _legend(axes)


def _draw_grey(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """All in one collection, which takes a tenth of the time of as many lines."""
    drawn = [curve for curve in curves if curve.epochs]
    styles = [_style_of(curve, metrics) for curve in drawn]
    lines = [_points(curve) for curve in drawn]
    axes.add_collection(LineCollection(lines, colors=_GREY, alpha=0.5, linewidths=1.6, linestyles=styles))
    axes.autoscale_view()


def _points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.epochs, curve.values, strict=True))


def _style_of(curve: "Curve | _Band", metrics: Sequence[str]) -> str:
    return _STYLES[metrics.index(curve.metric) % len(_STYLES)]


@dataclass(frozen=True)
class _Band:
    """A candidate's mean over its seeds, and the band from the lowest to the highest."""

    candidate: str
    metric: str
    seeds: int
    is_leading: bool
    epochs: Sequence[int]
    """Epochs that all seeds have reached."""
    means: Sequence[float]
    lowest: Sequence[float]
    highest: Sequence[float]
    rest: Sequence[tuple[int, float]]
    """Means of the seeds that went on after others had stopped, from the last epoch of all."""


def _bands(curves: Sequence[Curve]) -> list[_Band]:
    groups: dict[tuple[str, str], dict[str, Curve]] = {}
    for curve in curves:  # one for each seed, though a random sampler may have drawn the same values twice
        groups.setdefault((curve.candidate, curve.metric), {})[curve.label] = curve
    bands = []
    for (candidate, metric), found in groups.items():
        by_epoch: dict[int, list[float]] = {}
        for curve in found.values():
            for epoch, value in _points(curve):
                by_epoch.setdefault(epoch, []).append(value)
        whole = [epoch for epoch in sorted(by_epoch) if len(by_epoch[epoch]) == len(found)]
        last = max(whole, default=0)
        bands.append(
            _Band(
                candidate,
                metric,
                seeds=len(found),
                is_leading=any(curve.is_leading for curve in found.values()),
                epochs=whole,
                means=[_mean(by_epoch[epoch]) for epoch in whole],
                lowest=[min(by_epoch[epoch]) for epoch in whole],
                highest=[max(by_epoch[epoch]) for epoch in whole],
                rest=[(epoch, _mean(by_epoch[epoch])) for epoch in sorted(by_epoch) if epoch >= last],
            )
        )
    return bands


def _draw_bands(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """Draw a band per candidate; of many, only the leading one has a colour."""
    bands = _bands(curves)
    candidates = list(dict.fromkeys(band.candidate for band in bands))
    leading = {band.candidate for band in bands if band.is_leading}
    too_many = len(candidates) > _LEGEND_AT_MOST
    if too_many:
        _draw_grey_bands(axes, [band for band in bands if band.candidate not in leading], metrics)
        bands = [band for band in bands if band.candidate in leading]
    for band in bands:
        look = _look(0 if too_many else candidates.index(band.candidate))
        if too_many:
            look["zorder"] = 3
        if len(metrics) > 1:
            look["linestyle"] = _style_of(band, metrics)
        # Where some seeds have stopped the mean is of the others, and no longer to be compared: it goes on thin.
        axes.plot(
            [epoch for epoch, _ in band.rest], [mean for _, mean in band.rest], color=look["color"], linewidth=0.8,
            alpha=0.6,
        )  # fmt: skip
        name = _said(f"{band.candidate}: {band.metric}" if len(metrics) > 1 else band.candidate)
        axes.plot(
            band.epochs, band.means, markersize=4, linewidth=1.8, markevery=_between_markers(band.epochs),
            label=f"{name} (mean of {band.seeds})" if band.seeds > 1 else name, **look,
        )  # fmt: skip
        axes.fill_between(band.epochs, band.lowest, band.highest, color=look["color"], alpha=0.18, linewidth=0)
    _legend(axes)


def _draw_grey_bands(axes: Axes, bands: Sequence[_Band], metrics: Sequence[str]) -> None:
    """All in three collections, as `_draw_grey`."""
    whole = [band for band in bands if band.epochs]
    outlines = [
        [*zip(band.epochs, band.lowest, strict=True), *reversed([*zip(band.epochs, band.highest, strict=True)])]
        for band in whole
    ]
    means = [list(zip(band.epochs, band.means, strict=True)) for band in whole]
    styles = [_style_of(band, metrics) for band in whole]
    axes.add_collection(PolyCollection(outlines, facecolors=_GREY, alpha=0.05, linewidths=0))
    axes.add_collection(LineCollection(means, colors=_GREY, alpha=0.5, linewidths=1.6, linestyles=styles))
    axes.add_collection(LineCollection([band.rest for band in bands], colors=_GREY, alpha=0.3, linewidths=0.8))
    axes.autoscale_view()


def _look(number: int) -> dict[str, Any]:
    """Return colour, line style and marker of a curve."""
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "linestyle": _STYLES[number % len(_STYLES)],
        "marker": _MARKERS[number % len(_MARKERS)],
    }


def _between_markers(points: Sequence[object]) -> int:
    return 1 + len(points) // _MARKERS_AT_MOST


def _said(label: str) -> str:
    """Return a label that matplotlib shows: it leaves out those that begin with an underscore."""
    return f" {label}" if label.startswith("_") else label


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _set_scale(axes: Axes, scale: Scale, values: Sequence[float], if_none: str) -> None:
    is_positive = bool(values) and min(values) > 0
    if scale == "log" and values:
        # A symmetric scale can show what is 0 or less, too.
        axes.set_yscale("log") if is_positive else axes.set_yscale("symlog", linthresh=1e-3)
    elif scale == "auto" and is_positive and max(values) / min(values) >= _LOGARITHMIC_FROM:
        axes.set_yscale("log")
    if not values:
        axes.text(0.5, 0.5, if_none, transform=axes.transAxes, ha="center", va="center", color="#666666")


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        columns = 1 + (len(handles) - 1) // _LEGEND_AT_MOST
        for text in axes.legend(handles, labels, frameon=False, fontsize=9, ncols=columns).get_texts():
            text.set_parse_math(False)


def _saved(figure: Figure, title: str, file_format: FileFormat) -> bytes:
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
