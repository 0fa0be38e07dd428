"""Options of layers that Keras cannot use are refused before anything is stored, with the reason."""

from typing import Any

import pytest
from pydantic import ValidationError

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import InvalidSpec
from models.planning.plan import plan_experiment
from tests.factories import DENSE_2, document, layers

DENSE_4 = {"type": "dense", "units": 4}
SERIES = {"type": "reshape", "target_shape": [5, 2]}
RATES = {"choice": [0.1, 0.2]}
LSTM = {"type": "lstm", "units": 2}


def attention(steps: int) -> list[dict[str, Any]]:
    """Return layers that compare each of so many steps with all others."""
    sequence = {"type": "repeat_vector", "n": steps, "name": "steps"}
    return [DENSE_4, sequence, {"type": "attention", "inputs": ["steps", "steps"]}, {"type": "flatten"}]


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an identity as a bias": ([DENSE_4 | {"bias_initializer": "identity"}], "weights have 1 axes"),
    "a choice with an orthogonal bias": (
        [DENSE_4 | {"bias_initializer": {"choice": ["zeros", "orthogonal"]}}], "weights have 1 axes",
    ),
    "an orthogonal penalty of a convolution": (
        [SERIES, {"type": "conv1d", "filters": 2, "kernel_size": 2, "kernel_regularizer": "orthogonal_regularizer"}],
        "weights have 3 axes",
    ),
    "a constraint along no axis": ([DENSE_4 | {"bias_constraint": {"name": "max_norm", "axis": 1}}], "from 0 to 0"),
    "an axis given twice": ([DENSE_4 | {"kernel_constraint": {"name": "unit_norm", "axis": [0, 0]}}], "once"),
    "limits that fall": (
        [DENSE_4 | {"kernel_initializer": {"name": "random_uniform", "minval": 1.0, "maxval": 0.0}}], "is above maxval",
    ),
    "strides and dilation": (
        [SERIES, {"type": "conv1d", "filters": 2, "kernel_size": 2, "strides": 2, "dilation_rate": 2}],
        "cannot both be above 1",
    ),
    "groups that do not divide": (
        [SERIES, {"type": "conv1d", "filters": 3, "kernel_size": 2, "groups": 2}], "into 2 groups",
    ),
    "a cell among the layers": ([SERIES, {"type": "lstm_cell", "units": 2}], "does not match any"),
    "a layer in place of a cell": ([SERIES, {"type": "rnn", "cell": LSTM}], "does not match any"),
    "a penalty of a cell": (
        [SERIES, {"type": "rnn", "cell": {"type": "gru_cell", "units": 2, "activity_regularizer": "l2"}}],
        "a cell cannot have an activity_regularizer",
    ),
    "both directions backwards": (
        [SERIES, {"type": "bidirectional", "layer": LSTM | {"go_backwards": True}}], "must go forwards",
    ),
    "directions of other widths": (
        [SERIES, {"type": "bidirectional", "layer": LSTM,
                  "backward_layer": {"type": "lstm", "units": 3, "go_backwards": True}}],
        "both directions need equal outputs",
    ),
    "four layers around a layer": (
        [SERIES, {"type": "time_distributed", "layer": {"type": "time_distributed", "layer": {
            "type": "time_distributed", "layer": {"type": "time_distributed", "layer": DENSE_4}}}}],
        "more than 3 layers around",
    ),
    "a shared layer within another": (
        [DENSE_4 | {"name": "a"}, {"type": "time_distributed", "layer": {"type": "shared", "layer": "a"}}],
        "cannot be within another layer",
    ),
    "a shared layer that comes later": (
        [{"type": "shared", "layer": "later"}, DENSE_4 | {"name": "later"}], "no layer before this one",
    ),
    "steps without end": ([DENSE_4, {"type": "repeat_vector", "n": 10**5}, LSTM | {"unroll": True}], "at most 64"),
    "comparisons without end": (attention(10**4), "at most 10,000,000 fit"),
    "a normalization of nothing known": ([DENSE_4, {"type": "normalization"}], "of an input of the network only"),
    "boundaries that fall": ([{"type": "discretization", "bin_boundaries": [1.0, 0.0]}], "must rise"),
    "an equation of other axes": (
        [{"type": "einsum_dense", "equation": "abc,cd->abd", "output_shape": [5, 3]}], "one for each axis",
    ),
    "a window of an even size": (
        [{"type": "reshape", "target_shape": [2, 5, 1]}, {"type": "random_gaussian_blur", "kernel_size": 2}],
        "an odd number",
    ),
    "an output of length 1": (
        [SERIES, {"type": "adaptive_max_pooling1d", "output_size": 1}], "an output_size of 1 is not supported",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_option_is_refused_with_the_reason(name: str) -> None:
    given, words = REFUSED[name]
    changed = document(model=layers(*given, {"type": "flatten"}, DENSE_2))
    with pytest.raises((ValidationError, InvalidSpec)) as raised:
        plan_experiment(ExperimentSpec.model_validate(changed))
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        ({"type": "bidirectional", "layer": LSTM | {"units": {"choice": [2, 3]}}}, "layer.units"),
        ({"type": "rnn", "cell": [{"type": "gru_cell", "units": 2, "dropout": RATES}]}, "cell.0.dropout"),
        (LSTM | {"kernel_regularizer": {"l2": RATES}}, "kernel_regularizer.l2"),
        (LSTM | {"kernel_initializer": {"name": "random_normal", "stddev": RATES}}, "kernel_initializer.stddev"),
        (LSTM | {"trainable": {"choice": [True, False]}}, "trainable"),
    ],
)  # fmt: skip
def test_search_space_within_a_layer_makes_trials(layer: dict[str, Any], place: str) -> None:
    changed = document(model=layers(SERIES, layer, DENSE_2))
    trials = plan_experiment(ExperimentSpec.model_validate(changed)).trials
    assert [list(trial.hyperparameters) for trial in trials] == [[f"model.layers.1.{place}"]] * 2


def test_input_called_like_a_search_space_is_refused() -> None:
    model = {
        "inputs": {"choice": [5], "b": [5]},
        "layers": [{"type": "concatenate", "inputs": ["choice", "b"]}, DENSE_2],
    }
    with pytest.raises(ValidationError, match="cannot be called 'choice'"):
        ExperimentSpec.model_validate(document(model=model))
