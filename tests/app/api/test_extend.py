"""Extension of experiments over HTTP, without a worker."""

from typing import Any

import httpx
import pytest

from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.extension import Extension
from models.sql.database import Database
from models.sql.tables import TrialTable
from tests.factories import document
from tests.serving import submit
from tests.training import train

RATE = {"name": "sgd", "learning_rate": {"log_uniform": [0.001, 1.0]}}
RANDOM = {"name": "random", "trials": 8}


def ended(http: httpx.Client, database: Database, **changes: Any) -> str:
    """Return an experiment of eight trials, of which the second is the best and the third is next."""
    experiment_id = submit(http, **{"optimizer": RATE, "sampler": RANDOM} | changes)
    losses = {number: [0.9, number / 10] for number in range(1, 9)} | {1: [0.9, 0.85]}
    train(database, experiment_id, losses)  # type: ignore[arg-type]
    return experiment_id


def extend(http: httpx.Client, experiment_id: str, **extension: Any) -> httpx.Response:
    return http.post(f"/v1/experiments/{experiment_id}/extend", json=extension)


def test_the_best_candidates_are_trained_for_more_epochs(shared_http: httpx.Client, shared_database: Database) -> None:
    earlier = ended(shared_http, shared_database, tags=["mine"], confirm=None)
    answer = extend(shared_http, earlier, epochs=6, top=2)
    assert answer.status_code == 202
    view = answer.json()
    assert answer.headers["location"] == f"/v1/experiments/{view['id']}"
    assert view["id"] != earlier
    assert view["spec"]["sampler"] == {"name": "leaders", "experiment": earlier, "top": 2}
    assert (view["spec"]["fit"]["epochs"], view["tags"]) == (6, ["mine"])
    there = shared_http.get(f"/v1/experiments/{earlier}/trials").json()["items"]
    here = shared_http.get(f"/v1/experiments/{view['id']}/trials").json()["items"]
    assert [one["hyperparameters"] for one in here] == [one["hyperparameters"] for one in there[1:3]]
    assert [one["epochs_planned"] for one in here] == [6, 6]
    again = shared_http.post("/v1/experiments", json=view["spec"])
    assert again.status_code == 202, "the spec as it is shown makes the same experiment"


@pytest.mark.parametrize(
    ("sampler", "following"),
    [
        (RANDOM, {"name": "gp"}),
        ({"name": "tpe", "trials": 8, "round": 8, "seed": 4}, {"name": "tpe", "round": 8, "seed": 4}),
    ],
    ids=["random", "tpe"],
)
def test_a_search_goes_on_with_more_trials(
    shared_http: httpx.Client, shared_database: Database, sampler: dict[str, Any], following: dict[str, Any]
) -> None:
    earlier = ended(shared_http, shared_database, sampler=sampler)
    view = extend(shared_http, earlier, trials=5, name="more").json()
    assert view["spec"]["sampler"] == following | {"trials": 5, "prior": [earlier]}
    assert (view["name"], view["progress"]["trials"]) == ("more", {"queued": 5})
    there, here = (shared_http.get(f"/v1/experiments/{one}/trials").json()["items"] for one in (earlier, view["id"]))
    drawn = [one["hyperparameters"] for one in here]
    assert not [one for one in there if one["hyperparameters"] in drawn]


def test_an_extension_is_made_once_under_an_idempotency_key(
    shared_http: httpx.Client, shared_database: Database
) -> None:
    earlier = ended(shared_http, shared_database)
    place, headers = f"/v1/experiments/{earlier}/extend", {"Idempotency-Key": "extend-once"}
    first, second = (shared_http.post(place, json={"epochs": 3}, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotent-replayed"] == "true"
    assert shared_http.post(place, json={"epochs": 4}, headers=headers).status_code == 422


def test_an_experiment_that_has_not_ended_is_not_extended(shared_http: httpx.Client) -> None:
    earlier = submit(shared_http, optimizer=RATE, sampler=RANDOM)
    refused = extend(shared_http, earlier, epochs=6)
    assert refused.status_code == 409
    assert "has not ended" in refused.json()["detail"]
    leaders = document(optimizer=RATE, sampler={"name": "leaders", "experiment": earlier})
    refused = shared_http.post("/v1/experiments", json=leaders)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/sampler/experiment"
    assert extend(shared_http, "exp_" + "0" * 32, epochs=6).status_code == 404


@pytest.mark.parametrize(
    ("extension", "pointer", "said"),
    [
        ({}, "", "found neither"),
        ({"epochs": 6, "trials": 5}, "", "found both"),
        ({"trials": 5, "top": 2}, "", "goes with 'epochs'"),
        ({"epochs": 2}, "/epochs", "trained for up to 2 epochs"),
        ({"epochs": 1}, "/epochs", "greater than or equal to 2"),
        ({"epoch": 6}, "/epoch", "epochs"),
        ({"epochs": 6, "top": 0}, "/top", "greater than or equal to 1"),
        ({"trials": 10**6}, "/trials", "less than or equal"),
    ],
    ids=["nothing", "both", "top of trials", "no more epochs", "one epoch", "misspelt key", "no candidate", "too many"],
)
def test_a_bad_extension_is_refused(
    shared_http: httpx.Client, shared_database: Database, extension: dict[str, Any], pointer: str, said: str
) -> None:
    earlier = ended(shared_http, shared_database)
    before = shared_http.get("/v1/experiments").json()["items"]
    refused = extend(shared_http, earlier, **extension)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer, refused.text
    assert said in str(refused.json())
    assert shared_http.get("/v1/experiments").json()["items"] == before


def test_comparison_of_leaders_counts_all_candidates_of_the_choice(
    shared_http: httpx.Client, shared_database: Database
) -> None:
    """The same numbers are no new evidence: what eight candidates do not show, the best two of them do not."""
    earlier = submit(
        shared_http, optimizer=RATE, sampler={"name": "random", "trials": 8}, seeds=[*range(6)],
    )  # fmt: skip
    noise = [-0.02, 0.0, 0.02, -0.01, 0.01, 0.0]  # p = 0.018: significant for one pair, not for 28

    def losses(best: list[int], count: int) -> dict[int, list[float]]:
        return {
            6 * place + seed + 1: [0.5 + 0.02 * candidate + (noise[seed] if candidate % 2 else 0.0)] * count
            for place, candidate in enumerate(best)
            for seed in range(6)
        }

    train(shared_database, earlier, losses([*range(8)], 2))  # type: ignore[arg-type]
    later = extend(shared_http, earlier, epochs=3, top=2).json()["id"]
    train(shared_database, later, losses([0, 1], 3))  # type: ignore[arg-type]
    pairs = []
    for experiment_id in (earlier, later):
        candidates = shared_http.get(f"/v1/experiments/{experiment_id}/comparison").json()["candidates"]
        pairs.append(candidates[1]["against_leader"])
    assert pairs[0]["interval"] == pairs[1]["interval"]
    assert [pair["is_significant"] for pair in pairs] == [False, False]
    assert "best of 8 candidates" in pairs[1]["sentence"]


def test_confirmed_candidates_are_extended_with_their_further_seeds() -> None:
    spec = ExperimentSpec.model_validate(document(optimizer=RATE, sampler=RANDOM, confirm={"top": 1, "seeds": 2}))
    made = Extension(epochs=9).document("exp_" + "1" * 32, spec, {"name": "titanic"}, is_confirmed=True)
    assert made["seeds"] == [1, 2]
    assert "confirm" not in made


def test_validation_rows_and_backend_are_those_of_the_earlier_experiment(
    shared_http: httpx.Client, shared_database: Database
) -> None:
    def upload(number: int) -> None:
        content = "a,t\n" + "".join(f"{row * number},{row % 2}\n" for row in range(20))
        made = shared_http.post(
            "/v1/datasets", params={"name": "checked", "target": "t"}, content=content,
            headers={"Content-Type": "text/csv"},
        )  # fmt: skip
        assert made.is_success, made.text

    upload(1)
    reference = {"name": "checked", "validation": "checked"}
    earlier = ended(shared_http, shared_database, dataset=reference, fit={"epochs": 2})
    [first, *_] = shared_http.get(f"/v1/experiments/{earlier}/trials").json()["items"]
    content = shared_http.get(f"/v1/trials/{first['id']}").json()["spec"]["dataset"]["validation"]["sha256"]
    view = extend(shared_http, earlier, epochs=4).json()
    assert view["spec"]["dataset"]["validation"] == {"name": "checked", "sha256": content}
    assert view["spec"]["backend"] == "tensorflow"
    assert shared_http.post(f"/v1/experiments/{view['id']}/cancel").is_success
    assert shared_http.delete("/v1/datasets/checked").is_success
    upload(2)
    refused = extend(shared_http, earlier, epochs=4)
    assert refused.status_code == 422
    assert "in the spec of the new experiment, /dataset/sha256: checked has not this content" in refused.text


def test_trial_of_a_version_with_another_spec_is_not_evaluated(
    shared_http: httpx.Client, shared_database: Database
) -> None:
    earlier = submit(shared_http)
    train(shared_database, earlier, {1: [0.5]})
    [trial] = shared_http.get(f"/v1/experiments/{earlier}/trials").json()["items"]
    with shared_database.writing() as session:
        row = session.get(TrialTable, trial["id"])
        assert row is not None
        row.artifact, row.spec = "a file", {**row.spec, "fit": {**row.spec["fit"], "no_option": 3}}
    refused = shared_http.post(f"/v1/trials/{trial['id']}/evaluate", json={"dataset": "titanic"})
    assert refused.status_code == 409
    assert "no longer valid" in refused.text


def test_leaders_of_an_experiment_that_is_gone_are_refused_in_a_batch(http: httpx.Client) -> None:
    gone = document(sampler={"name": "leaders", "experiment": "exp_" + "0" * 32})
    answer = http.post("/v1/experiments/batch", json=[document(), gone], headers={"Idempotency-Key": "leaders"})
    assert [item["status"] for item in answer.json()["items"]] == [202, 422]
    assert answer.json()["items"][1]["errors"][0]["pointer"] == "/sampler/experiment"
    together = http.post(
        "/v1/experiments/batch?atomic=true", json=[document(), gone], headers={"Idempotency-Key": "together"}
    )
    assert together.status_code == 422
    assert together.json()["errors"][0]["pointer"] == "/1/sampler/experiment"
    assert len(http.get("/v1/experiments").json()["items"]) == 1, "none of those together"
