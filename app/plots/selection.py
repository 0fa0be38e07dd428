"""Selection of the curves of a plot, from one experiment or from trials of several."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.comparison.candidates import candidate_label
from app.plots.pictures import (
    Curve,
    CurvesPicture,
    FileFormat,
    PanelLayout,
    ParallelAxis,
    ParallelPicture,
    Picture,
    ProgressPicture,
    Reached,
    Scale,
    Seeds,
    SweepPicture,
)
from app.services.experiments import Service
from app.services.reads.histories import find_history, find_trial_histories
from app.services.reads.thinning import Thinning
from fittingroom.specs.choices import Direction
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.heads import recorded_metrics
from fittingroom.specs.objectives import better_direction
from fittingroom.views.history import History
from fittingroom.views.resources import ExperimentView, TrialHistoryView, TrialSummaryView
from models.planning.paths import last_word

_POINTS = (20, 2_000)
"""The fewest and the most epochs of a curve; a picture is about 1,000 pixels wide."""
_POINTS_OF_ALL = 30_000
"""Epochs of a picture that are read: so many take a second or two in the largest databases."""

EPOCH = "epoch"
"""Default x axis."""
PARALLEL = "hyperparameters"
"""The x axis of parallel coordinates: one for each hyperparameter."""
_MAX_AXES = 16
EFFORTS = {"trial": "trials", "epochs": "epochs of all trials", "seconds": "seconds since the first trial began"}
"""Axes of the best value so far, with their labels."""


@dataclass(frozen=True)
class Look:
    """Options of a plot."""

    metrics: Sequence[str] = ()
    """Metrics to plot. Default: the objective's."""
    x: str = EPOCH
    """`epoch`, a hyperparameter, `hyperparameters` for all of them, or an effort: one of `EFFORTS`."""
    scale: Scale = "auto"
    layout: PanelLayout = "together"
    seeds: Seeds = "each"
    file_format: FileFormat = "svg"


def picture_experiment(service: Service, view: ExperimentView, look: Look) -> Picture:
    """Select what a picture of all trials of an experiment shows.

    Raises:
        InvalidSpec: it has no such metric, or no such hyperparameter.
    """
    metrics = _metrics_of(view, look.metrics)
    trials, _ = service.list_trials(view.id)
    if look.x != EPOCH:
        for name, found, allowed in (
            ("metric", ",".join(metrics), len(metrics) == 1), ("seeds", look.seeds, look.seeds == "each"),
            ("layout", look.layout, look.layout == "together"),
            ("scale", look.scale, look.scale == "auto" or look.x != PARALLEL),
        ):  # fmt: skip
            if not allowed:
                detail = "not supported with x set to a hyperparameter; leave this or x out"
                raise InvalidSpec([Fault(pointer=name, detail=detail, found=found)])
        if look.x == PARALLEL:
            return select_parallel(view, trials, metrics, look)
        return (select_progress if look.x in EFFORTS else _picture_sweep)(view, trials, metrics, look)
    leader = None if view.best_trial is None else view.best_trial.trial_id
    by_id = {trial.id: trial for trial in trials}
    thinning = _thinning(len(trials), metrics, look)
    history = find_history(service.database, service.project, view.id, thinning=thinning)
    curves = [
        curve
        for page in history.trials.pages()
        for found in page
        if found.trial_id in by_id
        for curve in _curves(by_id[found.trial_id], found, metrics, is_leading=found.trial_id == leader)
    ]
    return _picture_curves(view.name, curves, look)


def picture_trials(service: Service, trial_ids: Sequence[str], look: Look) -> Picture:
    """Select what a picture of chosen trials shows, whatever experiments they are of.

    Raises:
        NotFoundError: there is no such trial.
        InvalidSpec: one of their experiments does not record such a metric.
    """
    trials = [service.get_trial(trial_id) for trial_id in trial_ids]
    views = {
        experiment_id: service.get_experiment(experiment_id)
        for experiment_id in dict.fromkeys(trial.experiment_id for trial in trials)
    }
    metrics = look.metrics or [next(iter(views.values())).objective.metric]
    for view in views.values():
        _metrics_of(view, metrics)
    curves: list[Curve] = []
    names = [view.name for view in views.values()]
    thinning = _thinning(len(trials), metrics, look)
    found = find_trial_histories(service.database, service.project, trial_ids, thinning)
    histories = [history for page in found.pages() for history in page]
    for trial, history in zip(trials, histories, strict=True):
        name = views[trial.experiment_id].name
        if names.count(name) > 1:
            name += f" ({trial.experiment_id[-6:]})"
        curves += _curves(trial, history, metrics, before=f"{name}: " if len(views) > 1 else "")
    return _picture_curves(", ".join(names)[:120], curves, look)


def _picture_curves(title: str, curves: list[Curve], look: Look) -> CurvesPicture:
    return CurvesPicture(title, curves, look.scale, look.layout, look.seeds, look.file_format)


def _thinning(trials: int, metrics: Sequence[str], look: Look) -> Thinning:
    """Return the downsampling of a plot: extremes per pixel for few trials, coarser for many."""
    points = max(_POINTS[0], min(_POINTS[1], _POINTS_OF_ALL // max(1, trials)))
    # Of a band's seeds the same epochs are wanted.
    return Thinning(points, metrics, _POINTS_OF_ALL, is_even=look.seeds == "band")


def _metrics_of(view: ExperimentView, wanted: Sequence[str]) -> Sequence[str]:
    """Return the metrics that are wanted, all of which its trials record."""
    spec = ExperimentSpec.model_validate(view.spec)
    rate_changes = spec.reduce_lr_on_plateau is not None
    recorded = recorded_metrics(spec.heads, validated=spec.is_validated, rate_changes=rate_changes)
    for metric in wanted:
        if metric not in recorded:
            detail = f"experiment {view.id} does not record it; its trials record: {', '.join(recorded)}"
            raise InvalidSpec([Fault(pointer="metric", detail=detail, found=metric)])
    return wanted or [view.objective.metric]


def _curves(
    trial: TrialSummaryView, history: TrialHistoryView, metrics: Sequence[str],
    *, before: str = "", is_leading: bool = False,
) -> list[Curve]:  # fmt: skip
    best = None if trial.best_epoch is None else trial.best_epoch.epoch
    return [
        Curve(
            before + trial.label, before + candidate_label(trial), metric, *_points(history.history, metric), best,
            is_leading,
        )
        for metric in metrics
    ]  # fmt: skip


def _picture_sweep(
    view: ExperimentView, trials: Sequence[TrialSummaryView], metrics: Sequence[str], look: Look
) -> SweepPicture:
    swept = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters))
    if look.x not in swept:
        known = ", ".join([EPOCH, *EFFORTS, PARALLEL, *swept])
        raise InvalidSpec(
            [Fault(pointer="x", detail=f"no trial has such a hyperparameter; known: {known}", found=look.x)]
        )
    reached = []
    for trial in trials:
        value = _best_value(trial, metrics[0])
        if value is None or look.x not in trial.hyperparameters:
            continue
        rest = [f"{last_word(name)}={found}" for name, found in trial.hyperparameters.items() if name != look.x]
        series = ", ".join([*([trial.model] if trial.model else []), *rest])
        x = trial.hyperparameters[look.x]
        is_number = isinstance(x, int | float) and not isinstance(x, bool)
        reached.append(Reached(float(x) if is_number else str(x), value, series))
    return SweepPicture(view.name, look.x, metrics[0], reached, look.scale, look.file_format)


def select_parallel(
    view: ExperimentView, trials: Sequence[TrialSummaryView], metrics: Sequence[str], look: Look
) -> ParallelPicture:
    """Select the hyperparameters that differ, and the objective, of all trials that have a value."""
    found = [(trial, value) for trial in trials if (value := _best_value(trial, metrics[0])) is not None]
    columns: dict[str, list[float | str | None]] = {}
    if len({trial.model for trial, _ in found}) > 1:
        columns["model"] = [trial.model for trial, _ in found]
    for name in dict.fromkeys(name for trial, _ in found for name in trial.hyperparameters):
        values = [trial.hyperparameters.get(name) for trial, _ in found]
        columns[name] = [str(value) if isinstance(value, bool) else value for value in values]
    varying = {name: values for name, values in columns.items() if len(set(values)) > 1}
    axes = [ParallelAxis(name, values) for name, values in list(varying.items())[:_MAX_AXES]]
    axes.append(ParallelAxis(metrics[0], [value for _, value in found]))
    sign = 1 if _direction(view, metrics[0]) == "minimize" else -1
    order = sorted(range(len(found)), key=lambda place: sign * found[place][1])
    ranks = dict(zip(order, range(len(order)), strict=True))
    return ParallelPicture(view.name, axes, [ranks[place] for place in range(len(found))], look.file_format)


def _best_value(trial: TrialSummaryView, metric: str) -> float | None:
    """Return a metric at a trial's best epoch, if it is finite."""
    value = None if trial.best_epoch is None else trial.best_epoch.metrics.get(metric)
    return None if value is None or not math.isfinite(float(value)) else float(value)


def _direction(view: ExperimentView, metric: str) -> Direction:
    return view.objective.direction if metric == view.objective.metric else better_direction(metric)


def select_progress(
    view: ExperimentView, trials: Sequence[TrialSummaryView], metrics: Sequence[str], look: Look
) -> ProgressPicture:
    """Select the value of each trial over what was spent until it had ended, in the order in which they ended.

    With folds, which are not equally hard, the mean over those of a seed counts, once all have ended.
    """
    searched = [trial for trial in trials if not trial.is_confirming]  # further seeds of the same are no progress
    ended = [trial for trial in searched if trial.finished_at is not None and trial.best_epoch is not None]
    if look.x != "trial":
        ended.sort(key=lambda trial: (trial.finished_at or view.created_at, trial.number))
    folds = max((trial.fold or 1 for trial in trials), default=1)
    of_folds: dict[str, list[float]] = {}
    reached, epochs = [], 0
    for trial in ended:
        epochs += trial.epochs_completed
        value = _best_value(trial, metrics[0])
        if value is None:
            continue
        key = json.dumps([trial.model, trial.hyperparameters, trial.seed], sort_keys=True)
        found = of_folds.setdefault(trial.id if folds == 1 else key, [])
        found.append(value)
        if len(found) < folds:
            continue
        seconds = ((trial.finished_at or view.created_at) - (view.started_at or view.created_at)).total_seconds()
        effort = {"trial": trial.number, "epochs": epochs, "seconds": seconds}[look.x]
        reached.append((float(effort), math.fsum(found) / folds))
    direction = _direction(view, metrics[0])
    return ProgressPicture(view.name, EFFORTS[look.x], metrics[0], reached, direction, look.scale, look.file_format)


def _points(history: History, metric: str) -> tuple[list[int], list[float]]:
    """Return the epochs and the values of a metric, where it is finite."""
    pairs = zip(history["epoch"], history.get(metric, []), strict=False)
    finite = [(int(epoch or 0), value) for epoch, value in pairs if isinstance(value, int | float)]
    return [epoch for epoch, _ in finite], [value for _, value in finite]
