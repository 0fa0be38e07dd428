"""The whole path: HTTP, queue, worker, SQL, and back."""

import signal
import time
from collections import Counter

import keras
import pytest

from app.examples import example_documents
from fittingroom.views.resources import ExperimentView
from tests.e2e.service import Service
from tests.factories import document
from tests.workers.engines.trials import arrays_of, plain_script, trial_specs

pytestmark = pytest.mark.e2e

LONG = {"fit": {"epochs": 10_000, "validation_split": 0.3}}
"""Some seconds, where the program is known already."""


@pytest.fixture(scope="module")
def ended(service: Service) -> dict[str, ExperimentView]:
    """Return the six exercises, submitted together."""
    submitted = {name: service.client.submit(spec) for name, spec in example_documents().items()}
    return {name: service.client.wait(view.id, timeout=180) for name, view in submitted.items()}


def history(service: Service, experiment_id: str, number: int = 1) -> dict[str, list[float]]:
    trials = service.client.get_experiment_history(experiment_id).trials
    return {name: [float(v) for v in column] for name, column in trials[number - 1].history.items()}  # type: ignore[arg-type]


def test_all_six_complete(ended: dict[str, ExperimentView]) -> None:
    assert {name: view.state.value for name, view in ended.items()} == dict.fromkeys(example_documents(), "completed")


def test_of_the_learning_rates_the_middle_one_wins(service: Service, ended: dict[str, ExperimentView]) -> None:
    tiny, good, huge = (history(service, ended["learning_rates"].id, number)["loss"] for number in (1, 2, 3))
    assert good[-1] < min(tiny[-1], huge[-1])
    assert abs(tiny[-1] / tiny[0] - 1) < 0.2
    assert huge[0] > 100
    assert huge[-1] == pytest.approx(0.67, abs=0.02)
    best = ended["learning_rates"].best_trial
    assert best is not None
    assert best.label == "learning_rate=0.01"


def test_digits_are_read(ended: dict[str, ExperimentView]) -> None:
    best = ended["mnist_digits"].best_trial
    assert best is not None
    assert float(best.metrics["val_accuracy"]) >= 0.85


def test_comparisons_name_the_best_epoch_not_the_last(service: Service, ended: dict[str, ExperimentView]) -> None:
    for name in ("wider_network", "deeper_network"):
        for trial in service.client.list_trials(ended[name].id):
            losses = history(service, ended[name].id, trial.number)["val_loss"]
            assert trial.best_epoch is not None
            assert trial.best_epoch.epoch == losses.index(min(losses)) + 1
        assert "Total params" in (service.client.get_trial(trial.id).model_summary or "")


def test_the_api_gives_the_history_of_a_plain_keras_script(service: Service, ended: dict[str, ExperimentView]) -> None:
    [spec] = trial_specs(example_documents()["early_stopping"])
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(100, "relu") for _ in range(2)]
    model = keras.Sequential([keras.Input((10,)), *hidden, keras.layers.Dense(2, "softmax")])
    model.compile("adam", loss="categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2)
    expected = plain_script(model, arrays_of(spec), seed=0, epochs=30, callbacks=[stop])
    found = history(service, ended["early_stopping"].id)
    assert found["epoch"] == list(range(1, len(expected) + 1))
    assert len(expected) < 30
    for name in expected[0]:
        assert found[name] == pytest.approx([epoch[name] for epoch in expected], rel=1e-5)


def test_epochs_appear_while_the_trial_trains(service: Service) -> None:
    view = service.client.submit(document(fit={"epochs": 4000, "validation_split": 0.3}))
    seen: list[int] = []
    service.client.wait(view.id, timeout=120, on_change=lambda now: seen.append(now.progress.epochs_completed))
    between = sorted({count for count in seen if 0 < count < 4000})
    assert len(between) >= 5, seen
    assert seen == sorted(seen)
    assert history(service, view.id)["epoch"] == list(range(1, 4001))


def test_cancel_stops_a_running_trial(service: Service) -> None:
    view = service.client.submit(document(**LONG))
    while service.client.get_experiment(view.id).progress.epochs_completed == 0:
        time.sleep(0.05)
    assert service.client.cancel(view.id) == 1
    asked = time.monotonic()
    ended = service.client.wait(view.id, timeout=30)
    assert ended.state.value == "cancelled"
    assert time.monotonic() - asked < 5
    assert 0 < ended.progress.epochs_completed < 10_000


def test_gpu_work_waits_for_a_gpu_worker(service: Service) -> None:
    view = service.client.submit(document(device="gpu"))
    time.sleep(1.5)
    waiting = service.client.get_experiment(view.id)
    assert waiting.state.value == "queued"
    assert "no live worker serves the device gpu" in (waiting.waiting_for or "")
    worker = service.start_worker("--queues", "gpu")
    try:
        ended = service.client.wait(view.id, timeout=60)
        queues = Counter(queue for item in service.http.get("/v1/workers").json()["items"] for queue in item["queues"])
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert (ended.state.value, ended.waiting_for) == ("completed", None)
    served = {"any": 2, "cpu": 1, "gpu": 1}
    assert queues == Counter(served | {f"{device}.tensorflow": number for device, number in served.items()})


def test_mnist_without_a_network_fails_with_a_message_that_helps(service: Service) -> None:
    """The machine of the tests reaches no dataset server; where one does, the digits are trained on."""
    view = service.client.submit(
        document(
            dataset={"name": "mnist", "rows": 200},
            model={"layers": [{"type": "dense", "units": 10, "activation": "softmax"}]},
        )
    )
    ended = service.client.wait(view.id, timeout=120)
    [trial] = service.client.list_trials(view.id)
    if ended.state.value == "failed":
        assert trial.fault is not None
        assert trial.fault.kind == "usage"
        assert "mnist-sample" in trial.fault.message
    else:
        assert ended.state.value == "completed"
