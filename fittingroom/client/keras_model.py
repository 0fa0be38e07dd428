"""A live, compiled Keras model in the words of a spec.

It asks the model itself for its JSON, so a client installs light.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError


class CompiledModel(Protocol):
    """Methods of a Keras model used here."""

    name: str

    def to_json(self) -> str:
        """Return the network as JSON."""

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of `compile`."""


class NotShippableError(ValueError):
    """The model has something that no spec can say."""


# Keras's options that change nothing at these values, and that a spec has no word for.
_WITHOUT_EFFECT: Mapping[str, Any] = {
    "name": ..., "dtype": ..., "reduction": "sum_over_batch_size", "axis": -1,
    "ignore_class": None, "summation_method": "interpolation", "multi_label": False, "num_labels": None,
    "label_weights": None, "top_k": None, "class_id": None, "class_aggregation": "uniform_average",
    "num_regressors": 0, "exclude_layers": [],
}  # fmt: skip
_DEFAULTS: Mapping[str, Any] = {
    "from_logits": False, "thresholds": None, "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None,
    "loss_scale_factor": None, "gradient_accumulation_steps": None,
}  # fmt: skip
"""Options that only some of our documents have a word for; at Keras's default they are left out."""
_NAMES: Mapping[str, str] = {
    "adam_w": "adamw", "mean_squared_error": "mse", "mean_absolute_error": "mae", "acc": "accuracy",
    "mean_absolute_percentage_error": "mape", "mean_squared_logarithmic_error": "msle", "log_cosh_error": "log_cosh",
    "logcosh": "log_cosh", "root_mean_squared_error": "rmse", "top_k_categorical_accuracy": "top_k",
    "rm_sprop": "rmsprop", "f_beta_score": "fbeta_score", "schedule_free_adam_w": "schedule_free_adamw",
}  # fmt: skip
_ACCURACIES: Mapping[str, set[str]] = {
    "categorical_accuracy": {
        "categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence", "categorical_hinge",
        "cosine_similarity",
    },
    "sparse_categorical_accuracy": {"sparse_categorical_crossentropy"},
}  # fmt: skip
"""Metrics that are what `accuracy` is, each with some losses only."""


def spec_of(model: CompiledModel, dataset: str | Mapping[str, Any], **training: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the spec of an experiment that trains a model as its own `fit` would.

    Args:
        model: compiled, with what a spec can say.
        dataset: a dataset's name, or a document with its name and options.
        training: top-level keys of the spec, such as `fit`, `early_stopping`, `seeds`, `name`.

    Raises:
        NotShippableError: it was not compiled, or compiled with something that a spec has no word for.
    """
    config = model.get_compile_config()
    if not config:
        raise NotShippableError("compile the model first: model.compile(optimizer=…, loss=…, metrics=[…])")
    if config.get("weighted_metrics"):
        raise NotShippableError("unsupported argument of model.compile: weighted_metrics; leave it out")
    spec = {
        "name": model.name,
        "dataset": dataset if isinstance(dataset, str) else dict(dataset),
        "model": {"keras": _with_adapted(model)},
        "optimizer": _document(config["optimizer"]),
        **_losses_and_metrics(_heads_of(model, config)),
    }
    return spec | {key: value for key, value in training.items() if value is not None}


class _CompiledHead(NamedTuple):
    """An output, and what `compile` was given for it, serialized."""

    output: str | None
    """Name of the output; None where the network has one."""
    loss: Any
    weight: float | None
    metrics: Sequence[Any]

    def documents(self) -> tuple[Any, list[Any]]:
        """Return its loss and its metrics in the words of a spec."""
        loss = _document(self.loss)
        return loss, [_metric(metric, loss) for metric in self.metrics]


def _heads_of(model: CompiledModel, config: Mapping[str, Any]) -> list[_CompiledHead]:
    """Return what each output of a network is trained on."""
    names = _output_names(model.to_json())
    loss = _in_full(config["loss"], getattr(model, "loss", None))
    metrics, weights = config.get("metrics") or [], config.get("loss_weights")
    if names is None:
        if weights:
            raise NotShippableError("unsupported argument of model.compile: loss_weights of one output; leave it out")
        return [_CompiledHead(None, loss, None, metrics)]
    is_for_all = isinstance(loss, str) or (isinstance(loss, Mapping) and "class_name" in loss)
    losses = dict.fromkeys(names, loss) if is_for_all else _by_output(loss, names, "loss")
    of_each, weighed = _by_output(metrics, names, "metrics"), _by_output(weights, names, "loss_weights")
    if missing := [name for name in names if losses.get(name) is None]:
        raise NotShippableError(f"model.compile was given no loss for the output {missing[0]!r}; give one for each")
    return [_CompiledHead(name, losses[name], weighed.get(name), _listed(of_each.get(name))) for name in names]


def _in_full(serialized: Any, live: Any) -> Any:  # noqa: ANN401 - JSON, and what `compile` was given
    """Return losses with all their options: the JSON of some, such as Huber's, leaves these out."""
    if isinstance(serialized, Mapping) and "class_name" in serialized:
        options = getattr(live, "_fn_kwargs", {})
        return {**serialized, "config": {**options, **(serialized.get("config") or {})}} if options else serialized
    if isinstance(serialized, Mapping) and isinstance(live, Mapping):
        return {name: _in_full(one, live.get(name)) for name, one in serialized.items()}
    if isinstance(serialized, Sequence) and isinstance(live, Sequence) and not isinstance(serialized, str):
        return [_in_full(one, other) for one, other in zip(serialized, live, strict=True)]
    return serialized


def _losses_and_metrics(heads: Sequence[_CompiledHead]) -> dict[str, Any]:
    """Return the keys of a spec for losses and metrics."""
    documents = {head.output: head.documents() for head in heads}
    if None in documents:
        loss, metrics = documents[None]
        return {"loss": loss, "metrics": metrics}
    weights = {head.output: head.weight for head in heads if head.weight is not None}
    return {
        "loss": {name: loss for name, (loss, _) in documents.items()},
        "metrics": {name: metrics for name, (_, metrics) in documents.items()},
        **({"loss_weights": weights} if weights else {}),
    }


def _by_output(given: Any, names: Sequence[str], key: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return what is given for each output, by its name: `compile` takes an object, or a list in order."""
    if not given:
        return {}
    if isinstance(given, Mapping) and given.keys() <= set(names):
        return dict(given)
    if isinstance(given, Sequence) and not isinstance(given, str) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    raise NotShippableError(f"give {key} of model.compile for each output by name: {', '.join(names)}")


def _listed(given: Any) -> Sequence[Any]:  # noqa: ANN401 - JSON
    if given is None:
        return []
    return given if isinstance(given, Sequence) and not isinstance(given, str) else [given]


def _output_names(text: str) -> list[str] | None:
    """Return the names of several outputs, in the order in which a spec has them; None of one output."""
    from fittingroom.specs.keras_import.document import from_keras  # noqa: PLC0415 - few clients send live models

    try:
        names: list[str] | None = from_keras({"keras": text})[0].get("outputs")
    except ValidationError:  # the service will say what it does not take
        ends = json.loads(text)["config"].get("output_layers", [])
        names = sorted(ends) if isinstance(ends, dict) else [end[0] for end in ends if isinstance(end, list)]
    return names if names and len(names) > 1 else None


def _with_adapted(model: CompiledModel) -> str:
    """Return a model's JSON with the numbers that its normalizations were adapted to: Keras leaves them out."""
    document = json.loads(model.to_json())
    live = {layer.name: layer for layer in getattr(model, "layers", ()) if type(layer).__name__ == "Normalization"}
    for config in [layer["config"] for layer in document["config"]["layers"] if layer["class_name"] == "Normalization"]:
        layer = live.get(config["name"])
        if layer is not None and config["mean"] is None and layer.mean is not None:
            for key, values in (("mean", layer.adapt_mean), ("variance", layer.adapt_variance)):
                numbers = [float(number) for number in values.numpy().ravel()]
                config[key] = numbers[0] if config["axis"] is None else numbers
    return json.dumps(document)


def metric_names(model: CompiledModel) -> dict[str, str]:
    """Return the names that Keras gives to a model's metrics, by those of a spec."""
    names = {}
    for head in _heads_of(model, model.get_compile_config()):
        before = "" if head.output is None else f"{head.output}_"
        for metric, document in zip(head.metrics, head.documents()[1], strict=True):
            ours = document["name"] if isinstance(document, Mapping) else document
            names[before + ours] = before + (metric if isinstance(metric, str) else metric["config"]["name"])
    return names


def _metric(serialized: Any, loss: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a metric, or NotShippableError if with this loss it measures something that a spec has no word for."""
    is_text = isinstance(serialized, str)
    if not is_text and isinstance(serialized, Mapping) and serialized.get("class_name") == "Accuracy":
        detail = 'keras.metrics.Accuracy() counts outputs that equal their target exactly; give "accuracy" in its place'
        raise NotShippableError(detail)
    document = _document(serialized)
    if document in ("f1_score", "fbeta_score") or (isinstance(document, dict) and document.get("average", "") is None):
        raise NotShippableError("an F score has one value for each class; give one with average='macro'")
    name, options = (document, {}) if isinstance(document, str) else (document["name"], dict(document))
    if name not in _ACCURACIES:
        return document
    loss_name = loss["name"] if isinstance(loss, Mapping) else loss
    threshold = options.pop("threshold", 0.5)
    if loss_name not in _ACCURACIES[name] or threshold != 0.5 or options.keys() - {"name"}:
        raise NotShippableError(f'{name} is not what a spec\'s accuracy measures with {loss_name}; give "accuracy"')
    return "accuracy"


def _document(serialized: Any) -> Any:  # noqa: ANN401 - JSON
    """Return an optimizer, a schedule, a loss or a metric: a name alone, or a name and its options."""
    if isinstance(serialized, str):
        return _NAMES.get(_snake(serialized), _snake(serialized))
    if not isinstance(serialized, Mapping) or "class_name" not in serialized:
        raise NotShippableError(f"unsupported argument of model.compile: {serialized!r:.80}")
    if serialized["class_name"] == "function":  # its JSON does not tell Keras's own from one of the same name
        raise NotShippableError(f"give the name {serialized.get('config')!r} in the place of a function")
    if serialized.get("registered_name"):
        raise NotShippableError(f"unsupported custom class {serialized['registered_name']!r}; use one of Keras's own")
    config = serialized.get("config")
    name = _NAMES.get(_snake(serialized["class_name"]), _snake(serialized["class_name"]))
    options = {key: _option(key, value) for key, value in (config or {}).items() if not _is_without_effect(key, value)}
    if "schedules" in str(serialized.get("module")):
        return {"schedule": name, **options}
    return {"name": name, **options} if options else name


def _option(key: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if key == "learning_rate" and isinstance(value, Mapping):
        return _document(value)
    if isinstance(value, list) and len(value) == 1 and key == "thresholds":
        return value[0]
    return value


def _is_without_effect(key: str, value: Any) -> bool:  # noqa: ANN401 - JSON
    if key in _DEFAULTS and value == _DEFAULTS[key]:
        return True
    return key in _WITHOUT_EFFECT and _WITHOUT_EFFECT[key] in (..., value)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
