"""A search in rounds over HTTP: what a client, a terminal and a person at the dashboard see."""

import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.service import Service
from tests.factories import DENSE_2, document, layers

pytestmark = pytest.mark.e2e

STANDARDIZED = {"name": "titanic", "standardize": True}
SEARCH = document(
    name="a search",
    model=layers({"type": "dense", "units": {"choice": [4, 8]}, "activation": "relu"}, DENSE_2),
    optimizer={"name": "adam", "learning_rate": {"log_uniform": [1e-5, 1.0]}},
    fit={"epochs": 10, "validation_split": 0.3},
    sampler={"name": "gp", "trials": 36, "round": 12},
)


@pytest.mark.browser
def test_search_draws_its_rounds_where_trials_are_good(service: Service, page: Page) -> None:
    submitted = service.client.submit(SEARCH)
    assert submitted.undrawn_trials == 24
    page.goto(f"/#/experiments/{submitted.id}")
    ended = service.client.wait(submitted.id, timeout=180)
    assert (ended.state.value, ended.undrawn_trials) == ("completed", 0)
    assert ended.progress.trials == {"completed": 36}
    assert ended.progress.epochs_completed == ended.progress.epochs_planned == 360
    assert [(one.number, one.trials) for one in ended.rounds] == [(1, 12), (2, 12), (3, 12)]
    trials = service.client.list_trials(submitted.id)
    losses = [[t.best_epoch.metrics["val_loss"] for t in trials if t.round == n and t.best_epoch] for n in (1, 2, 3)]
    assert sorted(losses[2])[6] < sorted(losses[0])[6]
    expect(page.locator(".state", has_text="completed")).to_have_count(37)


def test_the_worst_have_no_further_seeds_in_the_second_stage(service: Service) -> None:
    rates = {"name": "sgd", "learning_rate": {"choice": [0.1, 0.08, 1e-6]}, "momentum": 0.9}
    confirm = {"top": 3, "seeds": 12, "stages": 2}
    fit = {"epochs": 10, "validation_split": 0.3}
    submitted = service.client.submit(document(optimizer=rates, fit=fit, confirm=confirm, dataset=STANDARDIZED))
    assert submitted.undrawn_trials == 36
    ended = service.client.wait(submitted.id, timeout=180)
    assert (ended.state.value, ended.undrawn_trials) == ("completed", 0)
    found = service.client.compare(submitted.id)
    last = found.candidates[2]
    assert last.hyperparameters["optimizer.learning_rate"] == 1e-6
    assert [one.confirming_trials for one in found.candidates] == [12, 12, 6]
    assert ended.progress.trials == {"completed": 3 + 30}
    assert [(one.number, one.trials) for one in ended.rounds] == [(1, 3), (2, 18), (3, 12)]
    assert last.against_leader is not None
    assert (last.against_leader.pairs, last.against_leader.is_significant) == (6, True)
    assert found.sentence.endswith("3 candidates were trained; 1 had fewer, as significantly worse by then.")


def test_a_search_is_watched_in_a_terminal(service: Service) -> None:
    submitted = service.client.submit(SEARCH | {"name": "watched"})
    shown = subprocess.run(
        [sys.executable, "-m", "fittingroom", "watch", submitted.id, "--url", str(service.http.base_url)],
        capture_output=True, text=True, check=True, timeout=180,
    ).stdout  # fmt: skip
    assert "10/10" in shown
    assert "1/1 " not in shown
