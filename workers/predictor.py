"""Networks that have been trained, asked again: `python -m workers.predictor`, a process of its own beside the API.

Questions come on standard input; see `answer_questions`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pydantic import ValidationError

from fittingroom.specs.experiment import DatasetReference, TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec, faults_in, pointer
from fittingroom.specs.heads import Head
from fittingroom.specs.limits import MAX_FAULTS
from fittingroom.specs.prediction import PredictBody
from fittingroom.specs.strict_json import InvalidJsonError, read_json
from fittingroom.specs.validation.shapes import measure
from fittingroom.views.history import to_wire
from models.child_processes import answer_questions
from models.errors import UsageFault
from models.storage import Storage
from workers.quiet_imports import without_noise
from workers.records import rows_of

with without_noise():
    import keras
    from keras import ops

    from workers.builders.heads import BuiltHead, build_heads, compile_arguments, divided, units_of
    from workers.builders.networks import build_network
    from workers.datasets import load
    from workers.datasets.adaptation import with_adapted
    from workers.datasets.preparation import evaluation_rows
    from workers.saving.artifacts import Artifact, Inputs, read_artifact

IDLE_SECONDS = 600.0
"""Idle timeout, in seconds, after which the process ends and frees its memory; the next question starts another."""
_KEPT = 4
_ROWS_AT_ONCE = 1_024
_MAX_MULTIPLICATIONS = 1e11
"""Limit on an evaluation, of a network's multiplications: some 20 seconds on two busy cores (measured), of 60."""

Floats = NDArray[np.float32]
_Loaded = tuple[keras.Model, Artifact]


class Predictor:
    """Answers questions; keeps the networks that were asked last."""

    def __init__(self) -> None:
        self._loaded: LRUCache[str, _Loaded] = LRUCache(_KEPT)
        self._compiled: LRUCache[str, keras.Model] = LRUCache(_KEPT)
        """Networks that were evaluated, compiled beside those that are saved: with the same weights."""

    def answer(self, question: Mapping[str, Any], body: bytes) -> dict[str, Any]:
        """Answer a question: `save` a network as a `.keras` file, `predict` rows of a `PredictBody`, or `evaluate`."""
        spec = TrialSpec.model_validate(question["spec"])
        try:
            model, artifact = self._load(question, spec)
        except (OSError, KeyError) as error:
            return {"missing": f"{type(error).__name__}: {error}"}
        if question["action"] == "save":
            _with_scaling(model, artifact).save(question["output"])
            return {}
        if question["action"] == "evaluate":
            return self._evaluated(spec, model, artifact.inputs, question)
        try:
            x = _inputs_of(body, artifact.inputs)
        except InvalidSpec as error:
            return {"faults": [fault.model_dump() for fault in error.faults[:MAX_FAULTS]]}
        return _predicted(spec, model, artifact, x)

    def _evaluated(
        self, spec: TrialSpec, model: keras.Model, inputs: Inputs, question: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Measure a network as `model.evaluate` does."""
        heads = build_heads(spec, units_of(model))
        try:
            x, y = _rows_to_evaluate(spec, heads, inputs, question)
        except InvalidSpec as error:
            return {"faults": [fault.model_dump() for fault in error.faults]}
        compiled = self._compiled.get(question["trial_id"])
        if compiled is None:
            compiled = keras.Model(model.inputs, model.outputs if len(heads) > 1 else model.outputs[0])
            compiled.compile(**compile_arguments(heads))
            self._compiled[question["trial_id"]] = compiled
        metrics = compiled.evaluate(x, divided(y, heads), batch_size=_ROWS_AT_ONCE, verbose=0, return_dict=True)
        return {"rows": len(x), "metrics": {name: to_wire(float(value)) for name, value in metrics.items()}}

    def _load(self, question: Mapping[str, Any], spec: TrialSpec) -> _Loaded:
        trial_id = question["trial_id"]
        if trial_id not in self._loaded:
            artifact = read_artifact(Storage(question["storage"]), question["artifact"], trial_id)
            adapted = spec.model_copy(update={"model": with_adapted(spec.model, artifact.inputs.adapted)})
            model = build_network(adapted, len(artifact.inputs.scaling.fill))
            model.set_weights(artifact.weights)
            self._compiled.pop(trial_id, None)
            self._loaded[trial_id] = model, artifact
        return self._loaded[trial_id]


def _rows_to_evaluate(
    spec: TrialSpec, heads: Sequence[BuiltHead], inputs: Inputs, question: Mapping[str, Any]
) -> tuple[Floats, NDArray[Any]]:
    """Return features and targets of a dataset, or of the test rows of the trial's own.

    Raises:
        InvalidSpec: they cannot be had, are too many, or no numbers for a network.
    """
    storage, targets = Storage(question["storage"]), [head.target for head in heads]
    try:
        other = None if question["dataset"] is None else DatasetReference.model_validate(question["dataset"])
        rows = None if other is None else load(other, storage)
        x, y = evaluation_rows(spec, targets, inputs.scaling, inputs, rows, storage)
    except UsageFault as error:
        raise _no_rows(str(error)) from None
    except OSError:
        raise _no_rows("the rows of this dataset are not in the storage") from None
    cost = len(x) * measure(spec.model, x.shape[1]).multiplications
    if cost > _MAX_MULTIPLICATIONS:
        raise _no_rows(
            f"{len(x):,} rows take {cost:.1e} multiplications, and at most {_MAX_MULTIPLICATIONS:.0e} are made; "
            "evaluate on fewer rows"
        )
    if not np.isfinite(x).all():
        raise _no_rows("a number of this dataset is too large for a network of float32")
    return x, y


def _no_rows(detail: str) -> InvalidSpec:
    return InvalidSpec([Fault(pointer="/dataset", detail=detail)])


def _inputs_of(body: bytes, inputs: Inputs) -> Floats:
    """Return what a network takes for the rows of a `PredictBody`, or InvalidSpec."""
    try:
        document = read_json(body, max_values=None)
    except InvalidJsonError as error:
        raise InvalidSpec([Fault(pointer="", detail=f"invalid JSON: {error}")]) from None
    try:
        given = PredictBody.model_validate(document).rows
    except ValidationError as error:
        raise InvalidSpec(faults_in(error, document)) from None
    rows, records = [row for row in given if isinstance(row, list)], [row for row in given if isinstance(row, dict)]
    columns: dict[int, str] = {}
    if not records:
        _refuse_other_lengths(rows, inputs)
        x = np.array(rows, np.float64)  # null becomes NaN, which stands for what is missing
    elif rows or not inputs.feature_names:
        why = "some rows are lists, others objects" if rows else "the features of this dataset have no names"
        raise InvalidSpec([Fault(pointer="/rows", detail=f"{why}; give each row as a list of numbers")])
    else:
        x, columns = rows_of(records, inputs.feature_names)
    scaled = inputs.scaling.apply(x)
    wrong = np.argwhere(~np.isfinite(scaled))
    if len(wrong):
        number, place = (int(axis) for axis in wrong[0])
        detail = "this number is too large for a network of float32"
        fault = Fault(
            pointer=pointer(("rows", number, columns.get(place, place))), detail=detail, found=f"{x[number, place]:g}"
        )
        raise InvalidSpec([fault])
    return scaled


def _refuse_other_lengths(rows: list[list[float | None]], inputs: Inputs) -> None:
    features = len(inputs.scaling.fill)
    for number, row in enumerate(rows):
        if len(row) != features:
            names = f": {', '.join(inputs.feature_names[:20])}" if inputs.feature_names else ""
            detail = f"the network takes {features} numbers a row, found {len(row)}{names}"
            raise InvalidSpec([Fault(pointer=f"/rows/{number}", detail=detail, found=f"{len(row)} numbers")])


def _predicted(spec: TrialSpec, model: keras.Model, artifact: Artifact, x: Floats) -> dict[str, Any]:
    names = list(artifact.inputs.class_names)
    parts = [model(x[first : first + _ROWS_AT_ONCE], training=False) for first in range(0, len(x), _ROWS_AT_ONCE)]
    heads = spec.heads
    by_output = [parts] if len(heads) == 1 else zip(*parts, strict=True)
    found = {
        head.output: _of_head(head, np.concatenate([ops.convert_to_numpy(part) for part in of_rows]), names)
        for head, of_rows in zip(heads, by_output, strict=True)
    }
    if len(heads) == 1:
        [(predictions, outputs)] = found.values()
        return {"predictions": predictions, "outputs": outputs, "class_names": names}
    return {
        "predictions": {name: predictions for name, (predictions, _) in found.items()},
        "outputs": {name: outputs for name, (_, outputs) in found.items()},
        "class_names": names,
    }


def _of_head(head: Head, outputs: NDArray[Any], class_names: list[str]) -> tuple[list[Any], list[Any]]:
    """Return the predictions of an output for each row, and what it gives."""
    values = outputs.astype(np.float64)
    if getattr(head.loss, "from_logits", False):
        values = _sigmoid(values) if head.loss.is_of_tags or values.shape[1] == 1 else _softmax(values)
    listed = [[to_wire(value) for value in row] for row in values.tolist()]
    if class_names:
        threshold = 0.0 if head.loss.reads == "signs" else 0.5
        places = values.argmax(axis=1) if values.shape[1] > 1 else (values[:, 0] > threshold).astype(int)
        return [class_names[place] for place in places], listed
    if head.output is not None and head.loss.is_per_class and not head.loss.is_of_vectors:
        return values.argmax(axis=1).tolist(), listed  # its targets are numbers of classes, which have no names
    return listed if values.shape[1] > 1 else [row[0] for row in listed], listed


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    sigmoid: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return sigmoid


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return softmax


def _with_scaling(model: keras.Model, artifact: Artifact) -> keras.Model:
    """Return the network with scaling inside: it takes rows as the dataset has them, but for missing numbers.

    As `Scaling.apply`, in float64: `Normalization` divides by 1e-7 at least, and its weights are float32.
    """
    scaling = artifact.inputs.scaling
    if scaling.mean is None or scaling.deviation is None:
        return model
    inputs = keras.Input(model.input_shape[1:], dtype="float64")
    # Two layers: one would multiply before it subtracts, and lose the digits that subtracting leaves.
    centred = keras.layers.Rescaling(1.0, -scaling.mean, dtype="float64", name="centre")(inputs)
    scaled = keras.layers.Rescaling(1 / scaling.deviation, dtype="float64", name="scale")(centred)
    outputs = model(scaled)
    if len(model.outputs) > 1:  # otherwise each would have the name of the whole network
        named = zip(model.output_names, outputs, strict=True)
        outputs = [keras.layers.Identity(name=name)(output) for name, output in named]
    return keras.Model(inputs, outputs)


if __name__ == "__main__":
    answer_questions(Predictor().answer, IDLE_SECONDS)
