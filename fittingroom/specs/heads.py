"""Heads: the outputs of a network, each with the loss, weight and metrics that it is trained on."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

from pydantic import Field, TypeAdapter, WrapValidator

from fittingroom.specs.base import Real, refusal, refuse_early
from fittingroom.specs.layers.layer_spec import LayerName
from fittingroom.specs.limits import MAX_METRICS, MAX_OUTPUTS
from fittingroom.specs.losses import Loss, LossSpec
from fittingroom.specs.metrics import Metric, MetricSpec
from fittingroom.specs.search.search_space import search_space_kind


class Head(NamedTuple):
    """An output, and what it is trained on."""

    output: str | None
    """Name of the output; None where the network has one."""
    loss: Loss
    weight: float | None
    """Factor of its loss in the sum; None for 1."""
    metrics: Sequence[Metric]

    def recorded(self, metric: str) -> str:
        """Return the name of a metric, or of its `loss`, in a history, as Keras has it."""
        return metric if self.output is None else f"{self.output}_{metric}"

    def place(self, key: str, *below: int) -> tuple[str | int, ...]:
        """Return the path of its `loss` or `metrics`, or of one of these, in the document."""
        return (key, *below) if self.output is None else (key, self.output, *below)


def _is_loss_of_each(value: object) -> bool:
    if not isinstance(value, dict) or not value or "name" in value or search_space_kind(value) is not None:
        return False
    return all(isinstance(loss, str | dict | LossSpec) for loss in value.values())


if TYPE_CHECKING:
    LossOfEach: TypeAlias = LossSpec | dict[str, LossSpec]
    LossWeights: TypeAlias = dict[str, float]
    MetricsOfEach: TypeAlias = list[MetricSpec] | dict[str, list[MetricSpec]]
else:

    def _by_output(one: Any) -> Any:  # noqa: ANN401 - types
        """Return the type of an object by outputs."""
        entries = dict[LayerName, one]
        return Annotated[entries, Field(max_length=MAX_OUTPUTS), refuse_early(entries, MAX_OUTPUTS)]

    def _one_or_each(one: Any, is_of_each: Callable[[object], bool]) -> Any:  # noqa: ANN401 - types
        """Return the type of one thing, or of one by output: chosen by form, so that faults are of that form alone."""
        each = _by_output(one)

        @cache
        def adapter(*, of_each: bool) -> TypeAdapter[Any]:  # made when first needed: it takes some milliseconds
            return TypeAdapter(each if of_each else one)

        choose = WrapValidator(lambda value, _: adapter(of_each=is_of_each(value)).validate_python(value))
        return Annotated[one | each, choose]

    _Metrics = Annotated[list[Metric], Field(max_length=MAX_METRICS)]
    LossOfEach = _one_or_each(Loss, _is_loss_of_each)
    LossWeights = _by_output(Annotated[Real, Field(ge=0, le=1e6)])
    MetricsOfEach = _one_or_each(_Metrics, lambda value: isinstance(value, dict))


def heads_of(
    loss: Loss | Mapping[str, Loss],
    weights: Mapping[str, float] | None,
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]],
) -> list[Head]:
    """Return the heads that a spec describes."""
    if not isinstance(loss, Mapping):
        return [Head(None, loss, None, metrics if isinstance(metrics, Sequence) else [])]
    of_each = metrics if isinstance(metrics, Mapping) else {}
    return [Head(name, one, (weights or {}).get(name), of_each.get(name, [])) for name, one in loss.items()]


def refuse_other_outputs(
    loss: Loss | Mapping[str, Loss],
    weights: Mapping[str, float] | None,
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]],
) -> None:
    """Refuse weights and metrics that are not of the outputs which have a loss.

    Raises:
        pydantic.ValidationError: they are of others; it says where.
    """
    outputs = list(loss) if isinstance(loss, Mapping) else []
    for key, given in (("loss_weights", weights), ("metrics", metrics)):
        if isinstance(given, Mapping):
            for name in given:
                if name not in outputs:
                    there = f"outputs with a loss: {', '.join(outputs)}" if outputs else "the spec has one loss"
                    raise refusal((key, name), name, f"no output of this name has a loss; {there}")
        elif given and outputs:
            raise refusal((key,), given, f"give an object by outputs, as in loss: {', '.join(outputs)}")
    for head in heads_of(loss, weights, metrics):
        names = [metric.name for metric in head.metrics]
        if len(set(names)) < len(names):
            raise refusal(head.place("metrics"), names, f"duplicate metric in {names}; list each once")
    recorded = recorded_metrics(heads_of(loss, weights, metrics), validated=False)
    if len(set(recorded)) < len(recorded):
        name = next(name for name in recorded if recorded.count(name) > 1)
        raise refusal(("metrics",), name, f"two metrics of outputs would both be called {name!r}; rename an output")


def recorded_metrics(heads: Sequence[Head], *, validated: bool, rate_changes: bool = False) -> list[str]:
    """Return the names in a history: `loss`, the losses of several outputs, the metrics, then the same with `val_`.

    With a learning rate that changes, `learning_rate` comes last.
    """
    names = ["loss", *(head.recorded("loss") for head in heads if head.output is not None)]
    names += [head.recorded(metric.name) for head in heads for metric in head.metrics]
    names += [f"val_{name}" for name in names] if validated else []
    return [*names, "learning_rate"] if rate_changes else names
