"""Selection of the curves of a plot, from one experiment or from trials of several."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.comparison.candidates import candidate_label
from app.plots.drawing import Curve, FileFormat, PanelLayout, Reached, Scale, Seeds, draw_curves, draw_sweep
from app.services.experiments import Service
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.metrics import recorded_metrics
from fittingroom.views.history import History
from fittingroom.views.resources import ExperimentView, TrialHistoryView, TrialSummaryView

EPOCH = "epoch"
"""What curves go along, unless it is a hyperparameter."""


@dataclass(frozen=True)
class Look:
    """What is wanted of a picture."""

    metrics: Sequence[str] = ()
    """By default the objective's."""
    x: str = EPOCH
    """`epoch`, or a hyperparameter."""
    scale: Scale = "auto"
    layout: PanelLayout = "together"
    seeds: Seeds = "each"
    file_format: FileFormat = "svg"


def draw_experiment(service: Service, view: ExperimentView, look: Look) -> bytes:
    """A picture of all trials of an experiment.

    Raises:
        InvalidSpec: it has no such metric, or no such hyperparameter.
    """
    metrics = _metrics_of(view, look.metrics)
    trials, _ = service.list_trials(view.id)
    if look.x != EPOCH:
        for name, found, allowed in (
            ("metric", ",".join(metrics), len(metrics) == 1), ("seeds", look.seeds, look.seeds == "each"),
            ("layout", look.layout, look.layout == "together"),
        ):  # fmt: skip
            if not allowed:
                detail = "over a hyperparameter one metric is drawn, a dot a trial; leave this out, or x"
                raise InvalidSpec([Fault(pointer=name, detail=detail, found=found)])
        return _draw_sweep(view, trials, metrics, look)
    leader = None if view.best_trial is None else view.best_trial.trial_id
    histories = {history.trial_id: history for history in service.get_experiment_history(view.id).trials}
    curves = [
        curve
        for trial in trials
        if trial.id in histories
        for curve in _curves(trial, histories[trial.id], metrics, is_leading=trial.id == leader)
    ]
    return draw_curves(
        view.name, curves, scale=look.scale, layout=look.layout, seeds=look.seeds, file_format=look.file_format
    )


def draw_trials(service: Service, trial_ids: Sequence[str], look: Look) -> bytes:
    """A picture of chosen trials, whatever experiments they are of.

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
    curves = []
    names = [view.name for view in views.values()]
    for trial in trials:
        name = views[trial.experiment_id].name
        if names.count(name) > 1:
            name += f" ({trial.experiment_id[-6:]})"
        before = f"{name}: " if len(views) > 1 else ""
        curves += _curves(trial, service.get_trial_history(trial.id, 0), metrics, before=before)
    title = ", ".join(view.name for view in views.values())
    return draw_curves(
        title[:120], curves, scale=look.scale, layout=look.layout, seeds=look.seeds, file_format=look.file_format
    )


def _metrics_of(view: ExperimentView, wanted: Sequence[str]) -> Sequence[str]:
    """The metrics that are wanted, all of which its trials record."""
    spec = ExperimentSpec.model_validate(view.spec)
    rate_changes = spec.reduce_lr_on_plateau is not None
    recorded = recorded_metrics(spec.metrics, validated=spec.is_validated, rate_changes=rate_changes)
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
            before + trial.label, before + candidate_label(trial), metric, _column(history.history, metric), best,
            is_leading,
        )
        for metric in metrics
    ]  # fmt: skip


def _draw_sweep(view: ExperimentView, trials: Sequence[TrialSummaryView], metrics: Sequence[str], look: Look) -> bytes:
    swept = list(dict.fromkeys(name for trial in trials for name in trial.hyperparameters))
    if look.x not in swept:
        known = ", ".join([EPOCH, *swept])
        raise InvalidSpec(
            [Fault(pointer="x", detail=f"no trial has such a hyperparameter; known: {known}", found=look.x)]
        )
    reached = []
    for trial in trials:
        if trial.best_epoch is None or look.x not in trial.hyperparameters:
            continue
        value = trial.best_epoch.metrics.get(metrics[0])
        rest = [f"{name.rpartition('.')[2]}={found}" for name, found in trial.hyperparameters.items() if name != look.x]
        series = ", ".join([*([trial.model] if trial.model else []), *rest])
        if value is not None:
            reached.append(Reached(trial.hyperparameters[look.x], float(value), series))
    return draw_sweep(view.name, look.x, metrics[0], reached, scale=look.scale, file_format=look.file_format)


def _column(history: History, metric: str) -> list[tuple[int, float]]:
    """The points of a metric: epoch and value, NaN and infinities among them."""
    values = history.get(metric, [])
    return [
        (int(epoch or 0), float(value))
        for epoch, value in zip(history["epoch"], values, strict=False)
        if value is not None
    ]
