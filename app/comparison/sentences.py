"""A comparison in plain sentences."""

from collections.abc import Sequence

from fittingroom.views.comparison import AgainstLeaderView, CandidateView
from fittingroom.views.resources import ObjectiveView

_SHOWN_NAMES = 3


def pair_sentence(
    objective: ObjectiveView, leader: CandidateView, other: CandidateView, versus: AgainstLeaderView, among: int
) -> str:
    """Return a sentence on the leader and another candidate, among so many."""
    if versus.advantage is None:
        shared = "fold of a seed" if _has_folds(leader) else "seed"
        return f"{leader.label} and {other.label} have no {shared} in common, so they cannot be compared in pairs."
    better = "lower" if objective.direction == "minimize" else "higher"
    amount = f"{objective.metric} {better} by {versus.advantage:.3g}"
    if versus.advantage < 0:
        return _behind(objective, leader, other, versus)
    if versus.interval is None:
        return _without_interval(leader, other, versus, amount)
    span = f"95 % interval {versus.interval.low:.3g} to {versus.interval.high:.3g}"
    pairs = _counted(leader, versus.pairs)
    if versus.is_significant:
        return f"{leader.label} beats {other.label} in {versus.wins} of {pairs}; {amount} ({span})."
    if leader.unended or other.unended:
        return f"So far {leader.label} leads {other.label}: {amount} ({span}); not all of their trials have ended."
    needed = "" if _has_folds(leader) else f"; {_seeds_needed(versus)}"
    if versus.interval.low > 0:  # significant, had the leader been named beforehand
        led = f"{leader.label} leads {other.label} in {versus.wins} of {pairs}: {amount} ({span}). This is not "
        sentence = f"{led}significant for the best of {among} candidates{needed and f'{needed} seeds would be needed'}."
    else:
        sentence = (
            f"No significant difference between {leader.label} and {other.label} over {pairs}: {amount} ({span})"
            f"{needed and f'{needed} would be needed'}."
        )
    return sentence


def _behind(objective: ObjectiveView, leader: CandidateView, other: CandidateView, versus: AgainstLeaderView) -> str:
    """Return a sentence on a leader by its mean that is behind in what both have."""
    worse = "higher" if objective.direction == "minimize" else "lower"
    pairs = "only pair" if versus.pairs == 1 else _counted(leader, versus.pairs)
    return (
        f"{leader.label} leads {other.label} by its mean over all it has, but in the {pairs} that both have it is "
        f"behind: {objective.metric} {worse} by {abs(versus.advantage or 0):.3g}."
    )


def _seeds_needed(versus: AgainstLeaderView) -> str:
    if versus.seeds_needed is None:
        return "more than 10,000"
    # So many would do in most cases; in this one they did not.
    return "a few more" if versus.seeds_needed <= versus.pairs else f"about {versus.seeds_needed:,}"


def _has_folds(candidate: CandidateView) -> bool:
    return any(found.fold is not None for found in candidate.values)


def _counted(candidate: CandidateView, count: int) -> str:
    """Return a number of pairs or values in words: so many seeds, folds, or folds with several seeds."""
    if not _has_folds(candidate):
        return f"{count} seeds"
    return f"{count} folds" if len({found.seed for found in candidate.values}) == 1 else f"{count} folds of seeds"


def _without_interval(leader: CandidateView, other: CandidateView, versus: AgainstLeaderView, amount: str) -> str:
    if versus.pairs == 1 and _has_folds(leader):
        return f"{leader.label} leads {other.label}: {amount}, by the only fold that both have."
    if versus.pairs == 1:
        return (
            f"{leader.label} leads {other.label}: {amount}, by one seed. More seeds would tell whether it is "
            'significant: "seeds": [0, 1, 2, 3, 4].'
        )
    if versus.ties == versus.pairs:
        return f"{leader.label} and {other.label} are equal in each of {_counted(leader, versus.pairs)}."
    return (
        f"{leader.label} leads {other.label}: {amount} in each of {_counted(leader, versus.pairs)}, by the very same "
        f"amount; without spread there is no test of significance{'' if _has_folds(leader) else '; use more seeds'}."
    )


def verdict(objective: ObjectiveView, ranked: Sequence[CandidateView], folds: int, *, have_seeds_ended: bool) -> str:
    """Return the comparison in a few sentences.

    Args:
        objective: what is compared.
        ranked: the candidates, best first.
        folds: number of folds; 1 without folds.
        have_seeds_ended: True unless trials with further seeds run or are still to come.
    """
    found = [candidate for candidate in ranked if candidate.values]
    if not found:
        return f"Nothing to compare yet: no trial has an epoch with a finite {objective.metric}."
    confirmed = [candidate for candidate in found if candidate.is_confirmed]
    further = _of_further_seeds(ranked, folds, have_ended=have_seeds_ended)
    return f"{_of_leader(objective, confirmed or found)}{further}{_left_out(ranked)}"


def _of_leader(objective: ObjectiveView, found: Sequence[CandidateView]) -> str:
    leader = found[0]
    versus = [(other, other.against_leader) for other in found[1:] if other.against_leader is not None]
    if not versus:
        span, count = leader.interval, len(leader.values)
        spread = "" if span is None else f" (95 % interval {span.low:.3g} to {span.high:.3g})"
        over = f" in the mean of {_counted(leader, count)}" if count > 1 else ""
        return f"{leader.label}: {objective.metric} {leader.mean:.4g} at its best epoch{over}{spread}."
    runner_up = versus[0][1].sentence
    if len(versus) == 1:
        return runner_up
    if all(against.pairs < 2 for _, against in versus):
        return f"{runner_up} {len(versus)} candidates are behind it."
    beaten = sum(against.is_significant for _, against in versus)
    if beaten == len(versus):
        return f"{leader.label} beats all {beaten} others. The next: {runner_up}"
    open_ = [other.label for other, against in versus if not against.is_significant]
    more = len(open_) - _SHOWN_NAMES
    names = "; ".join(open_[:_SHOWN_NAMES]) + (f"; and {more} more" if more > 0 else "")
    beats = f"and beats {beaten} of {len(versus)} others significantly, but not: {names}"
    if not beaten:
        beats = f"but beats none of the {len(versus)} others significantly"
    return f"{leader.label} leads, {beats}. The next: {runner_up}"


def _of_further_seeds(ranked: Sequence[CandidateView], folds: int, *, have_ended: bool) -> str:
    """Say on which seeds the sentence rests, if candidates are confirmed."""
    chosen = [candidate for candidate in ranked if candidate.confirming_trials]
    if not chosen:
        return ""
    count = max(candidate.confirming_trials for candidate in chosen) // folds
    seeds = f"{count} further seed{'' if count == 1 else 's'}"
    best = f"the best {len(chosen)} of {len(ranked)} candidates"
    if len(chosen) == 1:
        best = "the only candidate" if len(ranked) == 1 else f"the best of {len(ranked)} candidates"
    was, judged = ("was", "it is judged") if len(chosen) == 1 else ("were", "they are judged")
    if any(candidate.is_confirmed for candidate in chosen):
        fewer = [candidate for candidate in chosen if candidate.confirming_trials < count * folds]
        worse = sum(bool(candidate.values) for candidate in fewer)  # the others have no value, which is said elsewhere
        ended = f"; {worse} had fewer, as significantly worse by then" if worse else ""
        return (
            f" These numbers are of {'up to ' if fewer else ''}{seeds} alone, with which {best} {was} trained{ended}."
        )
    if not have_ended:
        return f" Not all further seeds for {best} have ended; then {judged} by those alone."
    return f" Of {seeds} for {best}, none has a value."


def _left_out(ranked: Sequence[CandidateView]) -> str:
    """Trials that have ended and are not compared: pruned, failed, cancelled, or never finite."""
    pruned = sum(candidate.pruned for candidate in ranked)
    ended = sum(_without_value(candidate) for candidate in ranked)
    missing, said = max(0, ended - pruned), ""
    if pruned:
        said = f" {pruned} {'trial was' if pruned == 1 else 'trials were'} pruned."
    if missing:
        subject, are = ("trial has", "is") if missing == 1 else ("trials have", "are")
        said += f" {missing} {subject} no finite value, or did not complete, and {are} left out."
    return said


def _without_value(candidate: CandidateView) -> int:
    """Count the ended trials that could have a value among those compared, and have none."""
    if candidate.is_confirmed:
        return candidate.confirming_trials - len(candidate.values)
    return max(0, candidate.trials - candidate.confirming_trials - len(candidate.values) - candidate.unended)
