"""Tables, bars and sparklines of the command line."""

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.views.comparison import CandidateView, ComparisonView
from fittingroom.views.resources import ExperimentHistoryView, ExperimentSummaryView, TrialHistoryView, TrialSummaryView
from fittingroom.views.states import TrialState
from fittingroom.views.submissions import PlanView

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_WIDTH = 24
_TRIALS_AT_MOST = 30

Curves = dict[str, list[float]]
"""The objective so far, by trial id."""


def sparkline(values: Sequence[float], width: int = _SPARKLINE_WIDTH) -> str:
    """Return the last values as blocks from the lowest to the highest; what is not finite is a gap."""
    shown = list(values)[-width:]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite)
    steps = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[round((value - low) / span * steps) if span else 0] if math.isfinite(value) else " " for value in shown
    )


def extend(curves: Curves, metric: str, trials: Sequence[TrialHistoryView]) -> None:
    """Add what is new to the curves."""
    for trial in trials:
        values = [float(value) for value in trial.history.get(metric, []) if value is not None]
        curves.setdefault(trial.trial_id, []).extend(values)


def watched(
    view: ExperimentSummaryView, trials: Mapping[str, TrialHistoryView], planned: Mapping[str, int], curves: Curves
) -> RenderableType:
    """Render an experiment while it trains: a bar and a sparkline for each trial.

    Args:
        view: the experiment.
        trials: the newest of each trial, by id.
        planned: how many epochs each may train, by id.
        curves: the objective so far.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("trial", "", "epoch", view.objective.metric, "", "state"):
        table.add_column(heading, no_wrap=heading != "trial", justify="right" if heading == "epoch" else "left")
    for trial in list(trials.values())[:_TRIALS_AT_MOST]:
        values, epochs = curves.get(trial.trial_id, []), planned.get(trial.trial_id, trial.epochs_completed)
        is_over = trial.state not in {TrialState.QUEUED, TrialState.RUNNING}
        state = (trial.stop_reason or trial.phase or trial.state).value
        table.add_row(
            escape(trial.label),
            ProgressBar(total=1 if is_over else epochs, completed=1 if is_over else trial.epochs_completed, width=16),
            f"{trial.epochs_completed}/{epochs}",
            Text(sparkline(values), style="cyan"),
            f"{values[-1]:.4g}" if values else "-",
            Text(state, style="red" if trial.state == TrialState.FAILED else "green" if is_over else ""),
        )
    if len(trials) > _TRIALS_AT_MOST:
        table.add_row(f"… and {len(trials) - _TRIALS_AT_MOST} more")
    head = Text.assemble((view.name, "bold"), f"  {view.id}  ", (view.state.value, "bold"))
    if view.waiting_for is not None:
        head.append(f"\nwaiting: {view.waiting_for}", style="yellow")
    return Group(head, table)


def experiments_table(views: Sequence[ExperimentSummaryView]) -> Table:
    """Experiments in a list."""
    table = _table("experiment", "name", "state", "trials", "epochs", "made")
    for view in views:
        progress = view.progress
        table.add_row(
            view.id, escape(view.name), view.state.value, str(sum(progress.trials.values())),
            f"{progress.epochs_completed}/{progress.epochs_planned}", f"{view.created_at:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    return table


def trials_table(trials: Sequence[TrialSummaryView], metric: str) -> Table:
    """Trials with what they have reached."""
    table = _table("trial", "label", "state", "best epoch", metric, "seconds", "parameters")
    for trial in trials:
        best = trial.best_epoch
        table.add_row(
            trial.id, escape(trial.label), (trial.stop_reason or trial.phase or trial.state).value,
            f"{best.epoch} of {trial.epochs_completed}" if best else "-",
            f"{float(best.metrics[metric]):.4g}" if best and metric in best.metrics else "-",
            f"{trial.training_seconds:.1f}", f"{trial.parameter_count:,}",
        )  # fmt: skip
    return table


def history_table(view: ExperimentHistoryView) -> Table:
    """Return a sparkline for each metric of each trial, with its first and its last value."""
    table = _table("trial", "metric", "epochs", "first", "", "last")
    for trial in view.trials[:_TRIALS_AT_MOST]:
        for metric, column in trial.history.items():
            values = [float(value) for value in column if value is not None]
            if metric != "epoch" and values:
                table.add_row(
                    escape(trial.label), metric, str(len(values)), f"{values[0]:.4g}",
                    Text(sparkline(values), style="cyan"), f"{values[-1]:.4g}",
                )  # fmt: skip
    if len(view.trials) > _TRIALS_AT_MOST:
        table.add_row(f"… and {len(view.trials) - _TRIALS_AT_MOST} more")
    return table


def comparison_table(found: ComparisonView) -> RenderableType:
    """Render a comparison: its sentence, and the candidates, best first."""
    metric = found.objective.metric
    has_folds = any(value.fold is not None for candidate in found.candidates for value in candidate.values)
    table = _table(
        "",
        "candidate",
        "folds" if has_folds else "seeds",
        f"{metric}, mean",
        "95 % interval",
        "leader better",
        "significant",
        "gap",
        "parameters",
    )
    for candidate in found.candidates:
        interval, versus = candidate.interval, candidate.against_leader
        probability = None if versus is None else versus.probability
        table.add_row(
            str(candidate.rank), escape(candidate.label), _seeds_of(candidate),
            "-" if candidate.mean is None else f"{candidate.mean:.4g}",
            "-" if interval is None else f"{interval.low:.4g} to {interval.high:.4g}",
            "-" if probability is None else f"{probability:.1%}",
            "-" if versus is None else "yes" if versus.is_significant else "no",
            "-" if candidate.generalization_gap is None else f"{candidate.generalization_gap:.3g}",
            f"{candidate.parameter_count:,}",
        )  # fmt: skip
    shown: list[RenderableType] = [Text(found.sentence, style="bold"), table]
    if found.importances:
        important = _table("hyperparameter", "importance", "95 % interval")
        for one in found.importances:
            span = f"{one.interval.low:.0%} to {one.interval.high:.0%}"
            important.add_row(escape(one.hyperparameter), f"{one.importance:.0%}", span)
        shown.append(important)
    return Group(*shown)


def _seeds_of(candidate: CandidateView) -> str:
    """Return how many seeds, or folds with each of these, have a value, of how many that are compared."""
    if candidate.is_confirmed:
        return f"{len(candidate.values)}/{candidate.confirming_trials} further"
    return f"{len(candidate.values)}/{candidate.trials - candidate.confirming_trials}"


def plan_table(plan: PlanView) -> RenderableType:
    """Table of a plan."""
    table = _table("trial", "label", "epochs", "parameters", "cohort")
    cohort_of = {number: cohort.number for cohort in plan.cohorts for number in cohort.trials}
    for trial in plan.trials[:_TRIALS_AT_MOST]:
        table.add_row(
            str(trial.number), escape(trial.label), str(trial.epochs), f"{trial.parameter_count:,}",
            str(cohort_of[trial.number]),
        )  # fmt: skip
    if len(plan.trials) > _TRIALS_AT_MOST:
        table.add_row("…", f"and {len(plan.trials) - _TRIALS_AT_MOST} more")
    if plan.undrawn_trials:
        table.add_row("…", f"and {plan.undrawn_trials} more in later rounds")
    lines = [f"cohort {cohort.number}: {cohort.engine.name}, {cohort.engine.reason}" for cohort in plan.cohorts]
    shown: list[RenderableType] = [table, Text("\n".join(lines[:_TRIALS_AT_MOST]))]
    shown += [Text(f"warning: {warning.pointer}: {warning.detail}", style="yellow") for warning in plan.warnings]
    return Group(*shown)


def datasets_table(schemas: Sequence[DatasetSchema]) -> Table:
    """Table of datasets."""
    table = _table("dataset", "rows", "features", "target", "description")
    for schema in schemas:
        numbers = "a number" if schema.targets == 1 else f"{schema.targets} numbers"
        target = numbers if schema.classes is None else f"{schema.classes} classes"
        table.add_row(schema.name, f"{schema.rows:,}", str(schema.features), target, escape(schema.description))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=heading in {"experiment", "trial", "state"}, overflow="fold")
    return table
