"""A standardized network as a `.keras` file and asked by `predict`: the same numbers, whatever the scale."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.faults import InvalidSpec
from fittingroom.specs.heads import Head
from fittingroom.specs.losses import BinaryCrossentropy
from tests.factories import layers
from tests.workers.engines.trials import trial_spec
from workers import predictor
from workers.builders.heads import build_heads
from workers.datasets.preparation import Scaling, measure_scaling
from workers.saving.artifacts import Artifact, Inputs


@pytest.mark.parametrize(
    ("limit", "value", "said"),
    [(1e3, 1.0, "multiplications, and at most"), (1e11, 1e300, "too large for a network of float32")],
    ids=["too many rows", "too large numbers"],
)
def test_evaluate_refuses_rows_beyond_its_limits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: float, value: float, said: str
) -> None:
    spec = trial()
    monkeypatch.setattr(predictor, "_MAX_MULTIPLICATIONS", limit)
    monkeypatch.setattr(predictor, "evaluation_rows", lambda *_: (np.full((50, 10), value).astype(np.float32), None))
    question = {"storage": str(tmp_path), "dataset": None}
    heads = build_heads(spec, [2])
    with np.errstate(over="ignore"), pytest.raises(InvalidSpec, match=said):
        predictor._rows_to_evaluate(spec, heads, Inputs(Scaling(np.zeros(10)), [], []), question)  # noqa: SLF001


def trial() -> TrialSpec:
    """Return a spec with a loss of numbers."""
    return trial_spec(loss="mse", metrics=[])


def answers(scaling: Scaling, rows: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what `predict` and what the file says of rows."""
    model = keras.Sequential([keras.Input((rows.shape[1],)), keras.layers.Dense(1)])
    model.set_weights([np.linspace(0.5, 1.5, rows.shape[1])[:, None], np.array([0.25])])
    artifact = Artifact(model.get_weights(), Inputs(scaling, [], []))
    body = json.dumps({"rows": rows.tolist()}).encode()
    x = predictor._inputs_of(body, artifact.inputs)  # noqa: SLF001 - what is compared
    said = predictor._predicted(trial(), model, artifact, x)  # noqa: SLF001
    predictor._with_scaling(model, artifact).save(folder / "trial.keras")  # noqa: SLF001
    loaded = keras.saving.load_model(folder / "trial.keras", safe_mode=True)
    return np.array(said["outputs"]), keras.ops.convert_to_numpy(loaded(rows))


@given(
    scale=st.integers(-25, 20), offset=st.sampled_from([0.0, 1.0, -37.5, 1e6, 1.7e9, -1e12]), seed=st.integers(0, 99)
)
@settings(max_examples=40, deadline=None)
def test_file_and_predict_agree_at_any_scale(
    scale: int, offset: float, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    normal = np.random.default_rng(seed).normal(size=(50, 3))
    # An offset is one of the spread: no float64 has the digits of 1.7e9 + 1e-25.
    rows = normal * 10.0**scale + offset * 10.0 ** max(scale, 0)
    rows[:, 2] = rows[0, 2]
    if np.ptp(rows[:, 0]) == 0:
        return
    scaling = measure_scaling(rows, standardize=True)
    scaled = scaling.apply(rows)
    assert (scaled[:, 2] == 0).all(), "a feature that is the same in all rows"
    exact = (rows[:, :2] - rows[:, :2].mean(axis=0)) / rows[:, :2].std(axis=0)
    np.testing.assert_allclose(scaled[:, :2], exact, rtol=1e-5, atol=1e-5)
    by_predict, by_file = answers(scaling, rows, tmp_path_factory.mktemp("trial"))
    np.testing.assert_allclose(by_predict, by_file, rtol=1e-5, atol=1e-5)


def faults(inputs: Inputs, rows: list[object]) -> list[tuple[str, str | None]]:
    """Return pointers and values of what is refused."""
    with pytest.raises(InvalidSpec) as caught:
        predictor._inputs_of(json.dumps({"rows": rows}).encode(), inputs)  # noqa: SLF001
    return [(fault.pointer, fault.found) for fault in caught.value.faults]


@pytest.mark.parametrize("standardize", [True, False])
def test_predict_number_beyond_float32_is_refused_with_its_place(*, standardize: bool) -> None:
    scaling = measure_scaling(np.array([[1.0, 2.0], [2.0, 3.0]]), standardize=standardize)
    inputs = Inputs(scaling, ["a", "b"], [])
    assert faults(inputs, [[1.0, None], [1.0, 1e39]]) == [("/rows/1/1", "1e+39")]
    assert faults(inputs, [{"a": 1.0, "b": None}, {"b": 1e39, "a": 1.0}]) == [("/rows/1/b", "1e+39")]


def test_feature_with_an_underflowing_variance_becomes_0() -> None:
    rows = np.array([[0.0, 1.0], [1e-200, 2.0], [2e-200, 4.0]])
    scaling = measure_scaling(rows, standardize=True)
    scaled = scaling.apply(rows)
    assert np.isfinite(scaled).all()
    assert (scaled[:, 0] == 0).all()
    x = predictor._inputs_of(b'{"rows": [[null, null]]}', Inputs(scaling, [], []))  # noqa: SLF001
    assert np.isfinite(x).all()


@pytest.mark.parametrize(("loss", "classes"), [("hinge", ["no", "yes", "yes"]), ("mse", ["no", "no", "yes"])])
def test_class_of_one_output_is_decided_where_its_loss_does(loss: str, classes: list[str]) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    artifact = Artifact(model.get_weights(), Inputs(Scaling(np.zeros(1)), ["a"], ["no", "yes"]))
    spec = trial_spec(loss=loss, metrics=[], model=layers({"type": "dense", "units": 1, "activation": "tanh"}))
    said = predictor._predicted(spec, model, artifact, np.array([[-0.5], [0.25], [0.75]], np.float32))  # noqa: SLF001
    assert said["predictions"] == classes


def test_logits_of_tags_become_probabilities_one_by_one() -> None:
    tags = Head(None, BinaryCrossentropy(name="binary_crossentropy", from_logits=True), None, [])
    _, [outputs] = predictor._of_head(tags, np.array([[5.0, 5.0, -5.0]]), [])  # noqa: SLF001
    assert outputs == pytest.approx([1 / (1 + np.exp(-5)), 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))])


def test_file_of_several_outputs_keeps_their_names() -> None:
    rows = keras.Input((2,))
    model = keras.Model(rows, [keras.layers.Dense(1, name=name)(rows) for name in ("price", "kind")])
    scaling = Scaling(np.zeros(2), np.ones(2), np.full(2, 2.0))
    scaled = predictor._with_scaling(model, Artifact([], Inputs(scaling, [], [])))  # noqa: SLF001
    assert scaled.output_names == ["price", "kind"]
    for found, expected in zip(scaled(np.full((1, 2), 3.0)), model(np.ones((1, 2))), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
