"""Curves over the epochs: one for each trial, or a band for each candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from app.plots.pictures import Curve, CurvesPicture
from app.plots.style import (
    COLOURS,
    GREY,
    LEGEND_AT_MOST,
    STYLES,
    between_markers,
    draw_legend,
    look_of,
    mean_of,
    save_figure,
    set_scale,
    shown_label,
)


def draw_curves(picture: CurvesPicture) -> bytes:
    """Draw metrics of several trials over the epochs."""
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
        set_scale(axes, picture.scale, values, "no epochs with finite values")
        axes.set_xlabel("epoch")
        axes.set_ylabel(" and ".join(shown), parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return save_figure(figure, picture.title, picture.file_format)


def _draw_each(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """Draw a curve per trial; of many, only the leading one has a colour."""
    labels = {label: number for number, label in enumerate(dict.fromkeys(curve.label for curve in curves))}
    too_many = len(labels) > LEGEND_AT_MOST
    if too_many:
        _draw_grey(axes, [curve for curve in curves if not curve.is_leading], metrics)
        curves = [curve for curve in curves if curve.is_leading]
    for curve in curves:
        look = look_of(labels[curve.label])
        if too_many:
            look = {"color": COLOURS[0], "linestyle": "-", "marker": "", "zorder": 3}
        if len(metrics) > 1:
            look["linestyle"] = _style_of(curve, metrics)
        axes.plot(
            curve.epochs, curve.values, markersize=4, linewidth=1.6, markevery=between_markers(curve.epochs),
            label=shown_label(f"{curve.label}: {curve.metric}" if len(metrics) > 1 else curve.label), **look,
        )  # fmt: skip
        best = [point for point in _points(curve) if point[0] == curve.best_epoch]
        ring: Any = {"markerfacecolor": "none", "markeredgecolor": look["color"], "markeredgewidth": 1.6}
        axes.plot(*zip(*best, strict=True), marker="o", markersize=11, linestyle="none", **ring)
    if len(labels) * len(metrics) > 1:
        draw_legend(axes)


def _draw_grey(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """All in one collection, which takes a tenth of the time of as many lines."""
    drawn = [curve for curve in curves if curve.epochs]
    styles = [_style_of(curve, metrics) for curve in drawn]
    lines = [_points(curve) for curve in drawn]
    axes.add_collection(LineCollection(lines, colors=GREY, alpha=0.5, linewidths=1.6, linestyles=styles))
    axes.autoscale_view()


def _points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.epochs, curve.values, strict=True))


def _style_of(curve: "Curve | _Band", metrics: Sequence[str]) -> str:
    return STYLES[metrics.index(curve.metric) % len(STYLES)]


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
                means=[mean_of(by_epoch[epoch]) for epoch in whole],
                lowest=[min(by_epoch[epoch]) for epoch in whole],
                highest=[max(by_epoch[epoch]) for epoch in whole],
                rest=[(epoch, mean_of(by_epoch[epoch])) for epoch in sorted(by_epoch) if epoch >= last],
            )
        )
    return bands


def _draw_bands(axes: Axes, curves: Sequence[Curve], metrics: Sequence[str]) -> None:
    """Draw a band per candidate; of many, only the leading one has a colour."""
    bands = _bands(curves)
    candidates = list(dict.fromkeys(band.candidate for band in bands))
    leading = {band.candidate for band in bands if band.is_leading}
    too_many = len(candidates) > LEGEND_AT_MOST
    if too_many:
        _draw_grey_bands(axes, [band for band in bands if band.candidate not in leading], metrics)
        bands = [band for band in bands if band.candidate in leading]
    for band in bands:
        look = look_of(0 if too_many else candidates.index(band.candidate))
        if too_many:
            look["zorder"] = 3
        if len(metrics) > 1:
            look["linestyle"] = _style_of(band, metrics)
        # Where some seeds have stopped the mean is of the others, and no longer to be compared: it goes on thin.
        axes.plot(
            [epoch for epoch, _ in band.rest], [mean for _, mean in band.rest], color=look["color"], linewidth=0.8,
            alpha=0.6,
        )  # fmt: skip
        name = shown_label(f"{band.candidate}: {band.metric}" if len(metrics) > 1 else band.candidate)
        axes.plot(
            band.epochs, band.means, markersize=4, linewidth=1.8, markevery=between_markers(band.epochs),
            label=f"{name} (mean of {band.seeds})" if band.seeds > 1 else name, **look,
        )  # fmt: skip
        axes.fill_between(band.epochs, band.lowest, band.highest, color=look["color"], alpha=0.18, linewidth=0)
    draw_legend(axes)


def _draw_grey_bands(axes: Axes, bands: Sequence[_Band], metrics: Sequence[str]) -> None:
    """All in three collections, as `_draw_grey`."""
    whole = [band for band in bands if band.epochs]
    outlines = [
        [*zip(band.epochs, band.lowest, strict=True), *reversed([*zip(band.epochs, band.highest, strict=True)])]
        for band in whole
    ]
    means = [list(zip(band.epochs, band.means, strict=True)) for band in whole]
    styles = [_style_of(band, metrics) for band in whole]
    axes.add_collection(PolyCollection(outlines, facecolors=GREY, alpha=0.05, linewidths=0))
    axes.add_collection(LineCollection(means, colors=GREY, alpha=0.5, linewidths=1.6, linestyles=styles))
    axes.add_collection(LineCollection([band.rest for band in bands], colors=GREY, alpha=0.3, linewidths=0.8))
    axes.autoscale_view()
