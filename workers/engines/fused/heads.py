"""Losses and metrics of a network's outputs, as a program computes them: Keras's arithmetic, perhaps with padding."""

from collections.abc import Sequence

import keras
from keras import ops

from fittingroom.specs.experiment import TrialSpec
from workers.builders.heads import build_heads, divided
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import Tensor, Tree

_BUILT_LATE = (keras.metrics.FBetaScore, keras.metrics.R2Score)


class Heads:
    """Losses and metrics of one trial.

    Attributes:
        takes_zeros: whether a row of zeros has a finite loss, gradient and metrics.
    """

    def __init__(self, spec: TrialSpec, units: Sequence[int]) -> None:
        """Build it of a trial, whose outputs have so many units."""
        self._heads = build_heads(spec, units)
        self._losses_of_rows = [head.loss for head in build_heads(spec, units)]
        for loss in self._losses_of_rows:
            loss.reduction = "none"
        self.takes_zeros = all(
            head.loss.takes_zeros and all(metric.takes_zeros for metric in head.metrics) for head in spec.heads
        )
        # Keras's own loss trackers are such means: of the sum, weighted by the rows of each batch.
        of_each = [keras.metrics.Mean(name=f"{head.output}_loss") for head in self._heads if head.output is not None]
        self._means = [keras.metrics.Mean(name="loss"), *of_each]
        self._metrics = [(number, metric) for number, head in enumerate(self._heads) for metric in head.metrics]
        for number, metric in self._metrics:
            if isinstance(metric, _BUILT_LATE):  # else with its first batch, as a state of its own
                width = (1, units[number])
                metric._build(width, width)  # noqa: SLF001
        self._before = [
            [backend.to_numpy(variable.value) for variable in metric.variables]
            for metric in [*self._means, *(metric for _, metric in self._metrics)]
        ]

    def losses(
        self, y: Tensor, outputs: Tree, added: list[Tensor], weight: Tensor | tuple[()], present: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the loss that is minimized, and the losses that are tracked: it, and each of several outputs' own.

        Args:
            y: (rows, columns): the targets of all outputs.
            outputs: what the network gives: a tensor, or a list of them.
            added: what the layers add to the loss.
            weight: (rows,): how much each row counts; `()` for 1.
            present: (rows,): 1 for rows that are there and 0 for padding; None where all are.
        """
        each = [
            self._loss(number, target, output, weight, present) for number, target, output in self._pairs(y, outputs)
        ]
        weighted = [
            loss if head.weight is None else ops.multiply(loss, head.weight)
            for loss, head in zip(each, self._heads, strict=True)
        ]
        loss = sum(weighted[1:], start=weighted[0])
        total = sum((ops.sum(loss) for loss in added), start=loss)
        return total, [total, *(each if len(each) > 1 else [])]

    def _loss(
        self, number: int, y: Tensor, output: Tensor, weight: Tensor | tuple[()], present: Tensor | None
    ) -> Tensor:
        if present is None:
            return self._heads[number].loss(y, output, sample_weight=None if isinstance(weight, tuple) else weight)
        # Outputs stay as they are: Keras finds the logits of a softmax by its tensor.
        of_rows = ops.where(present > 0, self._losses_of_rows[number](y, output), 0.0)
        return ops.sum(of_rows if isinstance(weight, tuple) else of_rows * weight) / ops.sum(present)

    def _pairs(self, y: Tensor, outputs: Tree) -> list[tuple[int, Tensor, Tensor]]:
        """Return the number, the targets and the output of each head."""
        if len(self._heads) == 1:
            return [(0, y, outputs)]
        return list(zip(range(len(self._heads)), divided(y, self._heads), outputs, strict=True))

    def measured(self, before: Tree, tracked: list[Tensor], y: Tensor, outputs: Tree, present: Tensor | None) -> Tree:
        """Return the metrics' variables after a batch."""
        rows = ops.cast(y.shape[0], "float32") if present is None else ops.sum(present)
        count = len(self._means)
        weights = [rows] + [None if backend.TRACKS_LOSSES_BY_BATCH else rows] * (count - 1)
        means = [
            mean.stateless_update_state(variables, loss, sample_weight=weight)
            for mean, variables, loss, weight in zip(self._means, before[:count], tracked, weights, strict=True)
        ]
        pairs, options = self._pairs(y, outputs), {} if present is None else {"sample_weight": present}
        return means + [
            metric.stateless_update_state(variables, *pairs[number][1:], **options)
            for (number, metric), variables in zip(self._metrics, before[count:], strict=True)
        ]

    def results(self, measured: Tree, width: int) -> list[Tensor]:
        """Return the metrics by their variables, in the order of a history: float32 (width,) each."""
        metrics = [*self._means, *(metric for _, metric in self._metrics)]

        def one(measured: Tree) -> Tree:
            return [
                ops.cast(metric.stateless_result(variables), "float32")
                for metric, variables in zip(metrics, measured, strict=True)
            ]

        results: list[Tensor] = backend.map_trials(one, measured, width)
        return results

    def zeros(self, width: int) -> Tree:
        """Return the metrics' variables before the first batch."""
        return [[ops.broadcast_to(value, (width, *value.shape)) for value in values] for values in self._before]
