"""Comparison of candidates: hand-worked cases, and a simulation of the promised error rates."""

from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import pytest

from app.comparison.ranking import Comparison, compare
from fittingroom.views.resources import ObjectiveView
from fittingroom.views.states import TrialState
from models.planning.significance import estimate, pairs_needed
from models.sql.database import Database
from tests.app.comparison.trials import ACCURACY, LOSS, trial
from tests.serving import submit
from tests.training import train


def compared(objective: ObjectiveView = LOSS, **values: Sequence[float | str | None]) -> Comparison:
    """Candidates by name, each with a value for the seeds 0, 1, …; None for a trial that has reached nothing."""
    trials = []
    for model, found in values.items():
        for seed, value in enumerate(found):
            trials.append(trial(len(trials) + 1, model, seed, None if value is None else {objective.metric: value}))
    return compare(objective, trials)


def test_a_hand_worked_pair() -> None:
    """Differences 0.05, 0.04, 0.02: mean 0.036667, deviation 0.015275; t = 4.1576, and 4.302653 is the 97.5 % point."""
    found = compared(b=[0.55, 0.56, 0.53], a=[0.50, 0.52, 0.51])
    leader, other = found.candidates
    assert (leader.label, leader.rank, other.label, other.rank) == ("a", 1, "b", 2)
    assert leader.mean == pytest.approx(0.51)
    assert leader.standard_deviation == pytest.approx(0.01)
    assert leader.interval is not None
    assert (leader.interval.low, leader.interval.high) == pytest.approx((0.485159, 0.534841), abs=1e-6)
    versus = other.against_leader
    assert versus is not None
    assert versus.interval is not None
    assert (versus.pairs, versus.wins, versus.ties) == (3, 3, 0)
    assert versus.advantage == pytest.approx(0.0366667)
    assert (versus.interval.low, versus.interval.high) == pytest.approx((-0.0012792, 0.0746125), abs=1e-6)
    assert versus.probability == pytest.approx(1 - 0.0533 / 2, abs=1e-4)
    assert not versus.is_significant
    assert found.sentence == (
        "No significant difference between a and b over 3 seeds: val_loss lower by 0.0367 "
        "(95 % interval -0.00128 to 0.0746); about 4 would be needed."
    )


def test_significant_difference_is_in_the_sentence() -> None:
    ups, downs = [0.030, 0.034, 0.029, 0.031, 0.036], [0.9, 0.8, 0.85, 0.87, 0.83]
    found = compared(ACCURACY, narrow=downs, wide=[value + up for value, up in zip(downs, ups, strict=True)])
    assert found.sentence.startswith(
        "wide beats narrow in 5 of 5 seeds; val_accuracy higher by 0.032 (95 % interval 0.0"
    )
    versus = found.candidates[1].against_leader
    assert versus is not None
    assert versus.is_significant
    assert versus.seeds_needed is None


def test_pairing_by_seed_finds_a_difference_hidden_in_the_means() -> None:
    """The seeds differ far more than the candidates do."""
    seeds = [0.1, 0.5, 0.9, 0.3, 0.7]
    shifts = [0.010, 0.011, 0.009, 0.010, 0.012]
    found = compared(a=seeds, b=[value + shift for value, shift in zip(seeds, shifts, strict=True)])
    versus = found.candidates[1].against_leader
    assert versus is not None
    assert versus.is_significant


def test_one_seed_is_not_significant_and_asks_for_more_seeds() -> None:
    found = compared(a=[0.5], b=[0.6])
    assert '"seeds": [0, 1, 2, 3, 4]' in found.sentence
    versus = found.candidates[1].against_leader
    assert versus is not None
    assert versus.interval is None
    assert versus.probability is None
    assert not versus.is_significant


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"a": [None, None], "b": ["NaN", "Infinity"]}, "Nothing to compare yet"),
        ({"a": [0.5, 0.52]}, "a: val_loss 0.51 at its best epoch in the mean of 2 seeds (95 % interval"),
        ({"a": [0.5]}, "a: val_loss 0.5 at its best epoch."),
        ({"a": [0.5, 0.5], "b": [0.5, 0.5]}, "equal in each of 2 seeds"),
        ({"a": [0.5, 0.25], "b": [0.75, 0.5]}, "by the very same amount"),
        ({"a": [0.5, None], "b": [None, 0.6]}, "no seed in common"),
        ({"a": [0.5, 0.51, None], "b": [0.6, 0.63, 0.62]}, "1 trial has no finite value, or did not complete, and is"),
        ({"a": [0.1, 0.12, 0.11], "b": [0.9, 0.93, 0.91], "c": [0.8, 0.83, 0.81]}, "a beats all 2 others. The next: a"),
        ({"a": [0.1, 0.12, 0.11], "b": [0.11, 0.1, 0.13], "c": [0.8, 0.83, 0.81]}, "beats 1 of 2 others significantly"),
        ({"a": [0.1, 0.12], "b": [0.11, 0.1], "c": [0.1, 0.13]}, "leads, but beats none of the 2 others significant"),
    ],
)  # fmt: skip
def test_sentences(values: dict[str, list[Any]], says: str) -> None:
    assert says in compared(**values).sentence


def test_candidate_has_gap_and_costs() -> None:
    both = [
        trial(4, "a", 0, {"val_loss": 0.5, "loss": 0.4, "accuracy": 0.8}, training_seconds=1.0, parameter_count=70),
        trial(6, "a", 1, {"val_loss": 0.6, "loss": 0.4, "accuracy": 0.8}, training_seconds=3.0, parameter_count=70),
    ]
    [found] = compare(LOSS, both).candidates
    assert found.generalization_gap == pytest.approx(0.15)
    assert found.epochs_to_best == pytest.approx(5)
    assert found.training_seconds == pytest.approx(2)
    assert found.parameter_count == 70
    [without] = compare(
        ObjectiveView(metric="loss", direction="minimize"), [trial(1, "a", 0, {"loss": 0.4})]
    ).candidates
    assert without.generalization_gap is None


def test_many_candidates_are_judged_more_strictly() -> None:
    """Twenty candidates need stronger evidence than two."""
    leader = [0.50, 0.52, 0.51, 0.53]
    other = [0.515, 0.54, 0.515, 0.55]  # p is 0.03 by itself
    alone = compared(a=leader, b=other).candidates[1].against_leader
    rest = {f"c{number}": [0.9, 0.8, 0.7, 0.95] for number in range(9)}
    among = compared(a=leader, b=other, **rest).candidates[1].against_leader
    assert alone is not None
    assert among is not None
    assert alone.is_significant
    assert not among.is_significant
    assert alone.interval == among.interval
    assert "in 4 of 4 seeds" in among.sentence
    assert "not significant for the best of 11 candidates" in among.sentence


@pytest.mark.parametrize("seeds", [3, 5, 10, 20])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_the_interval_holds_the_truth_in_93_to_97_of_100(seeds: int, shape: str) -> None:
    draw = np.random.default_rng(seeds)
    experiments = 4_000
    if shape == "normal":
        values, truth = draw.normal(0.03, 0.05, (experiments, seeds)), 0.03
    else:  # a loss now and then goes far up
        values, truth = draw.gamma(9, 0.01, (experiments, seeds)), 0.09
    held = [found.low <= truth <= found.high for found in estimate(list(values)) if found is not None]
    assert len(held) == experiments
    assert 0.93 <= np.mean(held) <= 0.97


def test_where_there_is_no_difference_one_in_twenty_shows_one() -> None:
    draw = np.random.default_rng(1)
    shown = 0
    for _ in range(600):
        base = draw.normal(0.5, 0.1, 5)
        found = compared(a=list(base + draw.normal(0, 0.02, 5)), b=list(base + draw.normal(0, 0.02, 5)))
        versus = found.candidates[1].against_leader
        assert versus is not None
        shown += versus.is_significant
    assert 0.03 <= shown / 600 <= 0.07


def test_among_many_candidates_that_are_equal_one_in_twenty_experiments_shows_a_difference_at_the_most() -> None:
    """The leader is chosen by looking: judged as if it had been named beforehand, every eighth experiment would."""
    draw = np.random.default_rng(3)
    shown = 0
    for _ in range(300):
        base = draw.normal(0.5, 0.1, 10)
        found = compared(**{f"c{number}": list(base + draw.normal(0, 0.02, 10)) for number in range(10)})
        shown += any(c.against_leader is not None and c.against_leader.is_significant for c in found.candidates)
    assert shown / 300 <= 0.06


def test_advised_number_of_seeds_has_80_percent_power() -> None:
    draw = np.random.default_rng(2)
    few = draw.normal(0, 1, 6)
    few = 0.8 * (few - few.mean()) / few.std(ddof=1) + 0.4  # an effect of exactly half a deviation
    [needed] = pairs_needed([few], 0.05)
    assert needed == 34  # Cohen's table 2.3.5 gives 33 or 34 for d' = 0.5, two-sided 5 %, power 0.80
    experiments = draw.normal(0.4, 0.8, (2_000, needed))
    shows = [found is not None and found.low > 0 for found in estimate(list(experiments))]
    assert 0.77 <= np.mean(shows) <= 0.83
    [more] = pairs_needed([few], 0.005)
    assert more is not None
    assert more > needed


def test_a_difference_of_nothing_needs_no_number_of_seeds() -> None:
    samples = [
        np.array([-1.0, 1.0]),
        np.array([-1.0, 1.0001]),
        np.array([1.0]),
        np.array([1.0, 1.0]),
        np.array([1.0, 1.1]),
    ]
    assert pairs_needed(samples, 0.05) == [None, None, None, None, 2]


def test_a_value_that_was_drawn_twice_tells_nothing_twice() -> None:
    """A random sampler may draw the same value again: the same trial again, seed for seed."""
    once = {"a": [0.5, 0.52, 0.56], "b": [0.6, 0.58, 0.6]}
    trials = [
        trial(number, model, seed, {"val_loss": value})
        for number, (model, seed, value) in enumerate(
            [(m, s, v) for _ in range(3) for m, found in once.items() for s, v in enumerate(found)], start=1
        )
    ]
    again = compare(LOSS, trials)
    assert again.sentence == compared(**once).sentence
    assert [candidate.trials for candidate in again.candidates] == [3, 3]


def test_candidate_with_unfinished_trials_is_not_significant() -> None:
    leader = [trial(seed + 1, "a", seed, {"val_loss": 0.5 + seed / 100}) for seed in range(5)]
    other = [trial(seed + 6, "b", seed, {"val_loss": 0.9 + seed / 90}, state=TrialState.RUNNING) for seed in range(5)]
    found = compare(LOSS, [*leader, *other])
    assert found.sentence.startswith("So far a leads b: val_loss lower by 0.4")
    assert "beats" not in found.sentence
    assert [candidate.unended for candidate in found.candidates] == [0, 5]


def test_cancelled_and_failed_trials_are_not_compared() -> None:
    done = [trial(seed + 1, "a", seed, {"val_loss": 0.5}) for seed in range(2)]
    cut = [
        trial(3, "a", 2, {"val_loss": 0.9}, state=TrialState.CANCELLED),
        trial(4, "a", 3, None, state=TrialState.FAILED),
    ]
    found = compare(LOSS, [*done, *cut])
    assert found.candidates[0].mean == pytest.approx(0.5)
    assert "2 trials have no finite value, or did not complete" in found.sentence


def test_pruned_candidates_come_after_those_that_ended_the_longest_trained_first() -> None:
    def pruned(number: int, model: str, epochs: int) -> Any:
        changes = {"state": TrialState.PRUNED, "epochs_completed": epochs}
        return trial(number, model, 0, {"val_loss": 0.1 * number}, **changes)

    found = compare(LOSS, [pruned(1, "early", 2), pruned(2, "late", 6), trial(3, "last", 0, {"val_loss": 0.9})])
    assert [(one.model, one.pruned, one.mean) for one in found.candidates] == [
        ("last", 0, pytest.approx(0.9)), ("late", 1, None), ("early", 1, None),
    ]  # fmt: skip
    assert found.sentence.endswith(" 2 trials were pruned.")


def test_comparison_over_http_uses_best_epochs(shared_http: httpx.Client, shared_database: Database) -> None:
    rates = {"name": "sgd", "learning_rate": {"choice": [0.01, 0.1]}}
    experiment_id = submit(shared_http, optimizer=rates, seeds=[0, 1, 2])
    path = f"/v1/experiments/{experiment_id}/comparison"
    before = shared_http.get(path)
    assert before.json()["sentence"].startswith("Nothing to compare yet")
    best = [0.5, 0.52, 0.51, 0.6, 0.65, 0.61]
    last_of_the_better_is_worse = [0.9, 0.9, 0.9, 0.6, 0.65, 0.61]
    train(
        shared_database,
        experiment_id,
        {n: [first, last] for n, first, last in zip(range(1, 7), best, last_of_the_better_is_worse, strict=True)},
    )
    answer = shared_http.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert answer.status_code == 200
    found = answer.json()
    assert [candidate["label"] for candidate in found["candidates"]] == ["learning_rate=0.01", "learning_rate=0.1"]
    assert [value["seed"] for value in found["candidates"][0]["values"]] == [0, 1, 2]
    assert found["candidates"][1]["against_leader"]["wins"] == 3
    assert found["sentence"] == found["candidates"][1]["against_leader"]["sentence"]
    assert shared_http.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert shared_http.get(f"/v1/experiments/exp_{'0' * 32}/comparison").status_code == 404


def test_confirmed_candidates_are_compared_by_their_further_seeds_alone() -> None:
    trials = []
    for model, (searched, further) in {
        "lucky": (0.10, [0.52, 0.50, 0.51]), "good": (0.20, [0.30, 0.31, 0.29]), "other": (0.40, []),
    }.items():  # fmt: skip
        for seed, value in enumerate([searched, *further]):
            metrics = {"val_loss": value}
            trials.append(trial(len(trials) + 1, model, seed, metrics, is_confirming=seed > 0))
    found = compare(LOSS, trials)
    assert [(one.label, one.rank, one.is_confirmed) for one in found.candidates] == [
        ("good", 1, True), ("lucky", 2, True), ("other", 3, False),
    ]  # fmt: skip
    assert [len(one.values) for one in found.candidates] == [3, 3, 1]
    assert found.candidates[0].mean == pytest.approx(0.30)
    assert [one.against_leader is None for one in found.candidates] == [True, False, True]
    assert found.sentence.startswith("good beats lucky in 3 of 3 seeds")
    assert found.sentence.endswith(
        "These numbers are of 3 further seeds alone, with which the best 2 of 3 candidates were trained."
    )


def confirmed(**further: Sequence[tuple[float | None, TrialState]]) -> Comparison:
    """Compare candidates a, b and c, the better the earlier, with what became of further seeds of some."""
    trials = [trial(place, name, 0, {"val_loss": place / 10}) for place, name in enumerate("abc", start=1)]
    for name, found in further.items():
        for seed, (value, state) in enumerate(found, start=1):
            metrics = None if value is None else {"val_loss": value}
            changes = {"is_confirming": True, "state": state}
            trials.append(trial(len(trials) + 1, name, seed, metrics, **changes))
    return compare(LOSS, trials)


DONE, WAITS, FAILED = TrialState.COMPLETED, TrialState.QUEUED, TrialState.FAILED


def test_until_all_further_seeds_have_ended_those_of_the_search_are_compared() -> None:
    ended = [(0.3 + number / 100, DONE) for number in range(4)]
    found = confirmed(a=[(None, WAITS)] * 4, b=ended)
    assert [(one.label, one.is_confirmed, len(one.values)) for one in found.candidates] == [
        ("a", False, 1), ("b", False, 1), ("c", False, 1),
    ]  # fmt: skip
    assert found.sentence.endswith(
        "Not all further seeds for the best 2 of 3 candidates have ended; then they are judged by those alone."
    )


def test_further_seeds_without_a_value_are_counted() -> None:
    values = [0.3, 0.31, 0.29, 0.3]
    found = confirmed(a=[*((value, DONE) for value in values[:2]), (None, FAILED), (None, FAILED)],
                      b=[(value + 0.2, DONE) for value in values])  # fmt: skip
    assert [(one.label, one.is_confirmed, len(one.values)) for one in found.candidates] == [
        ("a", True, 2), ("b", True, 4), ("c", False, 1),
    ]  # fmt: skip
    assert found.sentence.endswith("2 trials have no finite value, or did not complete, and are left out.")


def test_failed_further_seeds_count_their_candidate_among_the_chosen() -> None:
    values = [(0.3, 0.31), (0.29, 0.305), (0.3, 0.32), (0.31, 0.316)]
    alone = confirmed(a=[(one, DONE) for one, _ in values], b=[(other, DONE) for _, other in values])
    among = confirmed(
        a=[(one, DONE) for one, _ in values], b=[(other, DONE) for _, other in values], c=[(None, FAILED)] * 4
    )
    for found, significant in ((alone, True), (among, False)):
        versus = found.candidates[1].against_leader
        assert versus is not None
        assert versus.is_significant == significant, "the more were chosen, the more strictly is judged"
    assert (among.candidates[2].label, among.candidates[2].mean) == ("c", None)


def test_no_further_seed_with_a_value_leaves_those_of_the_search() -> None:
    found = confirmed(a=[(None, FAILED)] * 3)
    assert found.candidates[0].label == "a"
    assert "Of 3 further seeds for the best of 3 candidates, none has a value." in found.sentence


def test_confirmed_leader_of_many_keeps_the_promised_rates() -> None:
    """The best 5 of 40 equal candidates, chosen by one seed, get 10 further seeds."""
    rng = np.random.default_rng(0)
    covered, shown, biased, experiments = 0, 0, [], 200
    for _ in range(experiments):
        searched = rng.normal(1.0, 0.1, 40)
        chosen = np.argsort(searched)[:5]
        trials = [trial(number + 1, f"m{number}", 0, {"val_loss": value}) for number, value in enumerate(searched)]
        for place in chosen:
            for seed, value in enumerate(rng.normal(1.0, 0.1, 10), start=1):
                metrics = {"val_loss": value}
                trials.append(trial(len(trials) + 1, f"m{place}", seed, metrics, is_confirming=True))
        confirmed = [one for one in compare(LOSS, trials).candidates if one.is_confirmed]
        covered += sum(one.interval is not None and one.interval.low <= 1 <= one.interval.high for one in confirmed)
        shown += any(one.against_leader is not None and one.against_leader.is_significant for one in confirmed)
        biased.append(searched.min())
    assert 0.93 <= covered / (5 * experiments) <= 0.97
    assert shown / experiments <= 0.07
    assert np.mean(biased) < 0.85, "without further seeds, the best of many looks better than it is"


def folded(objective: ObjectiveView = LOSS, **values: Sequence[Sequence[float | None]]) -> Comparison:
    """Candidates by name, each with a value for each fold from 1 of each seed from 0."""
    trials = []
    for model, of_seeds in values.items():
        for seed, found in enumerate(of_seeds):
            for fold, value in enumerate(found, start=1):
                metrics = None if value is None else {objective.metric: value}
                label = f"{model}, seed={seed}, fold={fold}"
                trials.append(trial(len(trials) + 1, model, seed, metrics, fold=fold, label=label))
    return compare(objective, trials)


def test_folds_are_paired_and_their_interval_is_corrected() -> None:
    """The differences of the hand-worked pair, but of folds: the variance is (1/3 + 1/2) of a sample's, not 1/3."""
    found = folded(b=[[0.55, 0.56, 0.53]], a=[[0.50, 0.52, 0.51]])
    leader, other = found.candidates
    assert (leader.label, other.label, leader.trials) == ("a", "b", 3)
    versus = other.against_leader
    assert versus is not None
    assert versus.interval is not None
    half = 4.302653 * 0.015275 * np.sqrt(1 / 3 + 1 / 2)
    assert (versus.interval.low, versus.interval.high) == pytest.approx((0.036667 - half, 0.036667 + half), abs=1e-5)
    assert (versus.pairs, versus.wins, versus.seeds_needed) == (3, 3, None)
    assert found.sentence == (
        "No significant difference between a and b over 3 folds: val_loss lower by 0.0367 "
        "(95 % interval -0.0233 to 0.0967)."
    )


def test_seeds_and_folds_are_paired_together() -> None:
    found = folded(b=[[0.5, 0.6, 0.7], [0.5, 0.7, None]], a=[[0.1, 0.2, 0.3], [0.2, 0.3, 0.3]])
    versus = found.candidates[1].against_leader
    assert versus is not None
    assert (versus.pairs, versus.wins) == (5, 5)
    assert versus.advantage == pytest.approx((0.35 + 0.4 + 0.4) / 3), "the mean over seeds of each fold"
    assert "5 folds of seeds" in found.sentence


def test_candidate_that_lacks_a_hard_fold_does_not_lead() -> None:
    found = folded(good=[[0.10, 0.12, 0.11, 0.13, 0.9]], lucky=[[0.20, 0.225, 0.208, 0.231, None]])
    assert [one.label for one in found.candidates] == ["good", "lucky"]
    assert found.sentence.startswith("good beats lucky in 4 of 4 folds")


def test_leader_by_its_mean_that_is_behind_in_pairs_is_not_significant() -> None:
    found = compared(good=[0.10, 0.11, 0.12, 0.9], lucky=[0.20, 0.215, 0.22, None])
    versus = found.candidates[1].against_leader
    assert versus is not None
    assert (found.candidates[0].label, versus.is_significant, versus.wins) == ("lucky", False, 0)
    assert versus.sentence == (
        "lucky leads good by its mean over all it has, but in the 3 seeds that both have it is behind: val_loss "
        "higher by 0.102."
    )
    [_, alone] = compared(good=[0.10, 0.9], lucky=[0.20, None]).candidates
    assert alone.against_leader is not None
    assert alone.against_leader.sentence == (
        "lucky leads good by its mean over all it has, but in the only pair that both have it is behind: val_loss "
        "higher by 0.1."
    )


@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_corrected_intervals_of_folds_keep_their_coverage(folds: int, seeds: int) -> None:
    """Differences of equal candidates, correlated between folds by 1/k as the correction assumes; seeds share rows."""
    rng = np.random.default_rng(0)
    of_rows = rng.standard_normal((3_000, 1)) * np.sqrt(1 / folds)
    of_rows = of_rows + rng.standard_normal((3_000, folds)) * np.sqrt(1 - 1 / folds)
    values = of_rows[:, None, :] + 0.1 * rng.standard_normal((3_000, seeds, folds))
    found = [one for one in estimate(list(values.mean(axis=1)), folds) if one is not None]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.94 <= covered <= 0.965
    without = [one for one in estimate(list(values.reshape(3_000, -1))) if one is not None]
    assert np.mean([one.low <= 0 <= one.high for one in without]) < 0.90, "what the correction is for"
