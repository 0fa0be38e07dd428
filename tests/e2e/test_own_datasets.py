"""Datasets of one's own, through a whole service: uploaded, trained on, validated on."""

import csv
import io
import random
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.e2e.service import Service
from tests.factories import document, layers

pytestmark = pytest.mark.e2e


def table(rows: int, seed: int, *, gaps: bool) -> str:
    """Return a number and a town that decide a price, and whether it is high."""
    draw = random.Random(seed)  # noqa: S311
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["size", "town", "price", "high"])
    for _ in range(rows):
        size, town = draw.uniform(0, 1), draw.choice(["Ulm", "Bonn"])
        price = 2 * size + (town == "Ulm")
        shown = "" if gaps and draw.random() < 0.1 else round(size, 4)
        writer.writerow([shown, town, round(price, 4), "yes" if price > 1.5 else "no"])
    return text.getvalue()


def upload(service: Service, name: str, content: str, target: str, ignore: str) -> None:
    query = {"name": name, "target": target, "ignore": ignore}
    answer = service.http.post("/v1/datasets", params=query, content=content, headers={"Content-Type": "text/csv"})
    assert answer.status_code in {200, 201}, answer.text


def test_classes_and_numbers_of_ones_own_are_learned(service: Service) -> None:
    upload(service, "own-homes", table(400, 0, gaps=True), "high", "price")
    upload(service, "own-homes-test", table(100, 1, gaps=False), "high", "price")
    upload(service, "prices", table(400, 0, gaps=False), "price", "high")
    hidden = {"type": "dense", "units": 16, "activation": "relu"}
    classes = document(
        dataset={"name": "own-homes", "standardize": True, "validation": "own-homes-test"},
        model=layers(hidden, {"type": "dense", "units": 2, "activation": "softmax"}),
        optimizer={"name": "adam", "learning_rate": 0.01},
        fit={"epochs": 30, "class_weight": {"yes": 2.0}},
    )
    numbers = document(
        dataset={"name": "prices"},
        model=layers(hidden, {"type": "dense", "units": 1}),
        optimizer={"name": "adam", "learning_rate": 0.01},
        loss="mse",
        metrics=["mae"],
        fit={"epochs": 30, "validation_split": 0.25},
    )
    of_classes, of_numbers = (service.client.submit(given).id for given in (classes, numbers))
    assert service.client.wait(of_classes, timeout=120).state == "completed"
    assert service.client.wait(of_numbers, timeout=120).state == "completed"
    [history] = service.client.get_experiment_history(of_classes).trials
    assert history.history["val_accuracy"][-1] > 0.9  # type: ignore[operator]
    [history] = service.client.get_experiment_history(of_numbers).trials
    assert history.history["val_mae"][-1] < 0.1  # type: ignore[operator]
    assert history.history["val_mae"][0] > 0.2  # type: ignore[operator]


@pytest.mark.parametrize(("offset", "scale"), [(1_700_000_000, 100.0), (0, 1e-9), (0, 1e-25), (5, 1e20)])
def test_features_of_any_scale_are_learned_and_predicted_alike(
    service: Service, tmp_path: Path, offset: int, scale: float
) -> None:
    drawn = np.random.default_rng(0).normal(size=(200, 2)) * scale + offset
    target = ((drawn - drawn.mean(axis=0)) / drawn.std(axis=0)) @ [1.0, -2.0]
    lines = [f"{a!r},{b!r},{y!r}" for (a, b), y in zip(drawn.tolist(), target.tolist(), strict=True)]
    name = f"scale-{offset}-{scale:g}".replace("+", "")
    upload(service, name, "\n".join(["a,b,y", *lines]), "y", "")
    view = service.client.submit(
        document(
            dataset={"name": name, "standardize": True},
            model=layers({"type": "dense", "units": 1}),
            optimizer={"name": "adam", "learning_rate": 0.1},
            loss="mse",
            metrics=[],
            fit={"epochs": 60, "validation_split": 0.2},
        )
    )
    assert service.client.wait(view.id, timeout=120).state == "completed"
    [trial] = service.client.list_trials(view.id)
    assert trial.best_epoch is not None
    assert trial.best_epoch.metrics["val_loss"] < 1e-6  # type: ignore[operator]
    said = service.client.predict(trial.id, drawn.tolist()).outputs
    records = [{"b": b, "a": a} for a, b in drawn.tolist()]
    assert service.client.predict(trial.id, records).outputs == said
    model = keras.saving.load_model(service.client.download(trial.id, tmp_path / "trial.keras"), safe_mode=True)
    np.testing.assert_allclose(np.array(said), model(drawn), rtol=1e-5, atol=1e-5)
