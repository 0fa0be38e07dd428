"""Trials of a search: the objective over a hyperparameter, the best so far, all hyperparameters side by side."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from app.plots.pictures import ParallelAxis, ParallelPicture, ProgressPicture, SweepPicture
from app.plots.style import (
    COLOURS,
    GREY,
    LEGEND_AT_MOST,
    LOGARITHMIC_FROM,
    draw_legend,
    look_of,
    mean_of,
    save_figure,
    set_scale,
    shown_label,
)
from models.planning.paths import last_word

_TICKS = 5
_LABEL_LENGTH = 16


def draw_sweep(picture: SweepPicture) -> bytes:
    """Draw the objective against a hyperparameter."""
    reached = picture.reached
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    numbers = [found.x for found in reached if not isinstance(found.x, str)]
    is_numeric = len(numbers) == len(reached)
    series = list(dict.fromkeys(found.series for found in reached))
    for number, name in enumerate(series):
        dots = [(found.x if is_numeric else str(found.x), found.value) for found in reached if found.series == name]
        look = look_of(number)
        places = sorted({x for x, _ in dots}) if is_numeric else list(dict.fromkeys(x for x, _ in dots))
        means = [mean_of([value for x, value in dots if x == place]) for place in places]
        many = len(series) > LEGEND_AT_MOST
        colour = GREY if many else look["color"]
        through: Any = {"linestyle": look["linestyle"]} if is_numeric else {"linestyle": "", "marker": "_", "ms": 22}
        axes.plot(places, means, color=colour, linewidth=1.2, alpha=0.8, **through)
        axes.plot(
            *zip(*dots, strict=True), linestyle="none", marker=look["marker"], markersize=6, markerfacecolor="none",
            markeredgecolor=colour, label=shown_label(name),
        )  # fmt: skip
    if is_numeric and numbers and min(numbers) > 0 and max(numbers) / min(numbers) >= LOGARITHMIC_FROM:
        axes.set_xscale("log")
    set_scale(axes, picture.scale, [found.value for found in reached], "no trial has a finite value")
    axes.set_xlabel(picture.hyperparameter, parse_math=False)
    axes.set_ylabel(f"{picture.objective} at the best epoch", parse_math=False)
    if 1 < len(series) <= LEGEND_AT_MOST:
        draw_legend(axes)
    return save_figure(figure, picture.title, picture.file_format)


def draw_progress(picture: ProgressPicture) -> bytes:
    """Draw the best value so far."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    efforts, values = [effort for effort, _ in picture.reached], [value for _, value in picture.reached]
    best = list(itertools.accumulate(values, min if picture.direction == "minimize" else max))
    axes.plot(efforts, values, linestyle="none", marker="o", markersize=4, color=GREY, alpha=0.7, label="a trial")
    axes.step(efforts, best, where="post", color=COLOURS[0], linewidth=1.8, label="best so far")
    set_scale(axes, picture.scale, values, "no trial has a finite value")
    axes.set_xlabel(picture.effort)
    axes.set_ylabel(f"{picture.objective} at the best epoch", parse_math=False)
    draw_legend(axes)
    return save_figure(figure, picture.title, picture.file_format)


def draw_parallel(picture: ParallelPicture) -> bytes:
    """Draw a line for each trial through its hyperparameters and its value, the best in the strongest colour."""
    count = len(picture.axes)
    figure = Figure(figsize=(max(8, 1.6 * count), 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set_xlim(-0.05, max(count - 1, 1) + 0.05)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([])
    axes.set_xticks(range(count), _names(picture.axes), fontsize=9, rotation=12)
    for name in axes.get_xticklabels():
        name.set_parse_math(False)
    heights = np.full((len(picture.ranks), count), np.nan)
    for number, axis in enumerate(picture.axes):
        heights[:, number], ticks = _heights(axis)
        axes.axvline(number, color="#444444", linewidth=1)
        for height, label in ticks:
            box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
            axes.text(number + 0.02, height, label, fontsize=7, va="center", parse_math=False, zorder=4, bbox=box)
    order = sorted(range(len(picture.ranks)), key=lambda place: -picture.ranks[place])  # the best last, on top
    lines = [[(x, y) for x, y in enumerate(heights[place]) if not math.isnan(y)] for place in order]
    colours = mpl.colormaps["viridis"]
    norm = Normalize(0, max(picture.ranks, default=1) or 1)
    strengths = [colours(norm(picture.ranks[place])) for place in order]
    axes.add_collection(LineCollection(lines, colors=strengths, linewidths=1.1, alpha=0.7))
    if not lines:
        set_scale(axes, "linear", [], "no trial has a finite value")
    else:
        bar = figure.colorbar(mpl.cm.ScalarMappable(norm, colours), ax=axes, ticks=[0, norm.vmax], pad=0.02)
        bar.ax.set_yticklabels(["best", "worst"], fontsize=8)
        bar.ax.invert_yaxis()
    return save_figure(figure, picture.title, picture.file_format)


def _heights(axis: ParallelAxis) -> tuple[Sequence[float], list[tuple[float, str]]]:
    """Return the place of each value on an axis, from 0 to 1, NaN for none; and the ticks with their labels."""
    known = [value for value in axis.values if value is not None]
    numbers = [value for value in known if not isinstance(value, str)]
    if len(numbers) < len(known):
        names = sorted({str(value) for value in known})
        places = {name: (number + 0.5) / len(names) for number, name in enumerate(names)}
        ticks = [(places[name], _shortened(name)) for name in names]
        return [math.nan if value is None else places[str(value)] for value in axis.values], ticks
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    is_logarithmic = low > 0 and high / low >= LOGARITHMIC_FROM
    ends = (math.log(low), math.log(high)) if is_logarithmic else (low, high)
    span = ends[1] - ends[0] or 1.0

    def height(value: float) -> float:
        return ((math.log(value) if is_logarithmic else value) - ends[0]) / span

    few = sorted(set(numbers))
    if len(few) <= _TICKS:
        ticks = [(height(float(value)), f"{value:g}") for value in few]
    else:
        marks = np.linspace(*ends, _TICKS)
        ticks = [((mark - ends[0]) / span, f"{math.exp(mark) if is_logarithmic else mark:.4g}") for mark in marks]
    return [math.nan if value is None else height(float(value)) for value in axis.values], ticks


def _names(axes: Sequence[ParallelAxis]) -> list[str]:
    """Return the last word of each hyperparameter's name; the last two of a layer's number, and of equal words."""
    words = [last_word(axis.name) for axis in axes]
    return [
        _shortened(word if words.count(word) == 1 else ".".join(axis.name.split(".")[-2:]))
        for word, axis in zip(words, axes, strict=True)
    ]


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL_LENGTH else f"…{label[1 - _LABEL_LENGTH :]}"
