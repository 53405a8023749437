"""What a log cannot tell, with counts."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from drr_agent.prices import Prices
from drr_agent.replay.families import Family
from drr_agent.replay.readings import Readings
from drr_agent.replay.report import Limit, PolicyResult
from drr_agent.replay.stopping_form import StoppingFamily
from drr_agent.replay.unread import Unread
from drr_agent.training.behaviors import Behavior
from drr_agent.training.labels import label_kind
from drr_agent.training.weights import Coverage

_TOLD = frozenset({"history", "contrast", "no_answer"})
"""Kinds of feedback that an attempt was made after."""


def find_limits(
    rows: Sequence[Behavior],
    readings: Readings,
    coverage: Coverage,
    prices: Prices,
    *,
    policies: Sequence[PolicyResult],
    families: Sequence[Family],
    max_turns: int,
    seen: int,
    unread: Unread,
    in_sample: bool,
) -> list[Limit]:
    """State them.

    Args:
        rows: those that were to be replayed.
        readings: those that were.
        coverage: what the log covers.
        prices: of the Reasoners.
        policies: what each came to.
        families: the policies over their settings.
        max_turns: the most turns of the policies.
        seen: questions left out since the DM had learned from them.
        unread: signals that are read and that no attempt has.
        in_sample: whether settings were chosen on these very rows.
    """
    found = [
        *_of_questions(readings, max_turns, seen),
        *_of_coverage(coverage),
        *_of_rows(rows),
        *_of_prices(prices),
        *_of_signals(unread),
        *_of_horizons(families, int(readings.turns.max()), max_turns),
        *_of_reviews(policies, len(readings.units.weights)),
    ]
    if in_sample:
        text = (
            "Settings that were not given were chosen on these very questions (in sample), and look a little too good. "
            "A dataset (`drr harvest`) has a calibration split to choose them on."
        )
        found.append(("in sample", len(readings.questions), text))
    return [Limit(kind=kind, count=count, text=text) for kind, count, text in found if count]


Stated = Iterable[tuple[str, int, str]]


def _of_questions(readings: Readings, max_turns: int, seen: int) -> Stated:
    longest = np.zeros(len(readings.questions), dtype=np.int64)
    np.maximum.at(longest, readings.question, readings.turns)
    short, every = int((longest < max_turns).sum()), len(longest)
    yield (
        "too few attempts",
        short,
        f"{short} of {every} questions or runs have fewer than {max_turns} attempts (the longest "
        f"{longest.max()}). What came after, nobody knows: the last one ends them, which spares a policy calls.",
    )
    yield "seen", seen, f"{seen} questions are left out: the DM has learned from them."


def _of_coverage(coverage: Coverage) -> Stated:
    yield (
        "no explored tails",
        coverage.unexplored,
        f"{coverage.unexplored} runs were accepted, stopped, sent to review or cut off in shadow, and no run of their "
        "Reasoner that ended in the same way explored: what later turns would have brought, this log cannot tell. "
        "`create_drr_graph(…, explore=0.05)`, not in shadow, makes one that can.",
    )
    yield (
        "stood for",
        coverage.censored - coverage.unexplored,
        f"{coverage.censored - coverage.unexplored} runs were cut off by an accept, a stop or a review; "
        f"{coverage.explored} that explored stand for them, which widens the intervals.",
    )
    yield (
        "unjudged",
        coverage.left_out,
        f"{coverage.left_out} questions or runs are left out: nobody judged all of their answers (agreement is no "
        "judgment). `drr label` asks for the rest.",
    )
    yield (
        "unlike",
        coverage.unlike,
        f"Of {coverage.unlike} of these none is judged that is as long, and nothing stands for them: the figures are "
        "of the others, and biased towards short runs.",
    )


def _of_rows(rows: Sequence[Behavior]) -> Iterator[tuple[str, int, str]]:
    told = sum(row["feedback"] in _TOLD for row in rows)
    unmetered = sum(row["input_tokens"] is None or row["output_tokens"] is None for row in rows)
    judged = sum(label_kind(row["label_source"] or "") == "judge" for row in rows)
    yield (
        "history-fed",
        told,
        f"{told} of {len(rows)} attempts were made after the Reasoner was told of a rejection. They keep their order, "
        "but another policy might not have rejected, and a fresh attempt is another one.",
    )
    yield (
        "unmetered",
        unmetered,
        f"{unmetered} of {len(rows)} attempts have no token counts; tokens and USD are of questions without such.",
    )
    yield (
        "by a judge",
        judged,
        f"{judged} of {len(rows)} labels are a judge's: its errors are in every figure here.",
    )


def _of_signals(unread: Unread) -> Stated:
    names = ", ".join(unread.by_dm)
    yield (
        "missing signals",
        len(unread.by_dm),
        f"The DM reads {names}, which no attempt of this log has: in use, its scores may be better.",
    )
    names = ", ".join(unread.by_stopping)
    yield (
        "missing stopping signals",
        len(unread.by_stopping),
        f"When to stop was learned from {names}, too, which no attempt of this log has: in use, it may be told better.",
    )


def _of_horizons(families: Iterable[Family], longest: int, max_turns: int) -> Stated:
    """Where a stopping policy was learned for runs of another length, or is replayed as one for shorter ones."""
    for family in stopping_families(families):
        name, horizon = family.name, family.policy.model.values.horizon
        yield (
            "short horizon",
            horizon if horizon < longest else 0,
            f"{name} always ends after {horizon} turns, the most of the logs that it learned from: what the "
            f"{longest} of this log are worth, it has never seen. Train it on longer logs.",
        )
        yield (
            "long horizon",
            horizon if horizon > max_turns else 0,
            f"{name} reckons with {horizon} turns, as in the logs that it learned from, and has {max_turns}: "
            "towards the last ones it expects too much of thinking on. Train it again, and it knows of fewer.",
        )
        yield (
            "shortened",
            family.shortened_from or 0,
            f"{name} is replayed as one for runs of {horizon} turns, the most that this log holds. In use with "
            f"{max_turns} turns it reckons with {family.shortened_from}, and thinks on more readily: log longer runs "
            f"(`drr distill --attempts {max_turns}`), or use it with `max_turns={horizon}`.",
        )


def _of_reviews(policies: Iterable[PolicyResult], questions: int) -> Stated:
    """What accuracy says of a policy that asks for reviews."""
    for policy in policies:
        point, others = policy.chosen.point, policy.chosen.intervals.get("accuracy_unreviewed")
        rest = "no others" if others is None else f"of the others {100 * others.mean:.1f} % are right"
        yield (
            "reviewed",
            math.ceil(point.reviewed * questions - 1e-9),
            f"{policy.label} sends {100 * point.reviewed:.1f} % of the questions to review. Accuracy counts their best "
            f"answers as if nobody reviewed them; {rest}. What reviews would mend, and cost, this log cannot tell.",
        )


def stopping_families(families: Iterable[Family]) -> list[StoppingFamily]:
    """The stopping policies among some."""
    return [family for family in families if isinstance(family, StoppingFamily)]


def _of_prices(prices: Prices) -> Stated:
    unknown = prices.unknown
    yield (
        "no price",
        len(unknown),
        f"No price is known for {', '.join(unknown)}: USD are missing there. `--price-in` and `--price-out`, in USD "
        "per million tokens, give one; list prices come with the extra `prices`.",
    )
