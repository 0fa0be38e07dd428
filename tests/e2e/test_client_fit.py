"""The line that a person knows from a notebook trains on a running service, with the numbers of the exercise."""

import keras
import pytest

from app.examples import example_documents
from fittingroom.client.sync_client import Client, TrialFailedError
from tests.e2e.service import Service, until
from tests.serving import later

pytestmark = pytest.mark.e2e


def url_of(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


def digits_network() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(50, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["acc"])
    return model


def test_fit_trains_mnist_digits(service: Service) -> None:
    exercise = example_documents()["mnist_digits"]
    with Client(url_of(service)) as client:
        fitted = client.fit(
            digits_network(), exercise["dataset"], epochs=10, validation_split=0.3, objective=exercise["objective"]
        )
        same = client.wait(client.submit(exercise).id, timeout=120)
        [trial] = client.list_trials(same.id)
        expected = client.get_trial_history(trial.id)
        assert fitted.history.keys() == {"loss", "acc", "val_loss", "val_acc"}
        for name, values in fitted.history.items():
            assert values == pytest.approx(expected[name.replace("acc", "accuracy")], rel=1e-5)
        assert fitted.history["val_acc"][-1] > 0.85
        pixels = [[0.0] * 784]
        assert client.predict(fitted.trial.id, pixels).class_names == [str(digit) for digit in range(10)]


def test_a_sweep_is_no_fit(service: Service) -> None:
    sweep = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.01]}}
    with Client(url_of(service)) as client, pytest.raises(ValueError, match="2: submit it as an experiment"):
        client.fit(digits_network(), "mnist-sample", optimizer=sweep)


def test_a_trial_that_is_not_completed_is_an_error(service: Service) -> None:
    with Client(url_of(service)) as client, Client(url_of(service)) as another:

        def cancel() -> None:
            [waiting] = until(lambda: list(another.list_experiments(state="queued", tag="to be cancelled")))
            another.cancel(waiting.id)

        with later(0.0, cancel), pytest.raises(TrialFailedError, match="cancelled"):
            client.fit(digits_network(), "mnist-sample", device="gpu", tags=["to be cancelled"], timeout=60)
