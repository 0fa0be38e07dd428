"""A sweep with a pruner: what a client sees of the trials that were stopped at rungs."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.service import Service
from tests.factories import document

pytestmark = pytest.mark.e2e

RATES = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]


@pytest.mark.browser
def test_pruned_trials_are_shown_as_such(service: Service, page: Page) -> None:
    spec = document(
        optimizer={"name": "sgd", "learning_rate": {"choice": RATES}},
        fit={"epochs": 8, "validation_split": 0.3},
        pruner={"name": "top_k", "k": 3, "epochs": 2},
    )
    submitted = service.client.submit(spec)
    ended = service.client.wait(submitted.id, timeout=120)
    assert ended.state.value == "completed"
    assert ended.progress.trials == {"completed": 3, "pruned": 4}
    trials = service.client.list_trials(submitted.id)
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert {trial.epochs_completed for trial in pruned} == {2}
    assert len(service.client.get_trial_history(pruned[0].id)["val_loss"]) == 2
    answer = service.http.get(f"/v1/trials/{pruned[0].id}/artifact")
    assert answer.status_code == 409
    assert "it was pruned after epoch 2" in answer.json()["detail"]
    comparison = service.client.compare(submitted.id)
    assert sorted(candidate.pruned for candidate in comparison.candidates) == [0, 0, 0, 1, 1, 1, 1]
    assert [candidate.pruned for candidate in comparison.candidates[:3]] == [0, 0, 0]
    best = min((trial for trial in trials if trial.best_epoch), key=lambda trial: trial.best_epoch.metrics["val_loss"])  # type: ignore[union-attr]
    assert ended.best_trial is not None
    assert ended.best_trial.trial_id == best.id
    page.goto(f"/#/experiments/{submitted.id}")
    expect(page.locator(".state", has_text="pruned")).to_have_count(4)
