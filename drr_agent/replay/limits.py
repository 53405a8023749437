"""What a log cannot tell, with counts."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from drr_agent.replay.costs import Prices
from drr_agent.replay.readings import Readings
from drr_agent.replay.report import Limit
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
    max_turns: int,
    seen: int,
    unread: Sequence[str],
    in_sample: bool,
) -> list[Limit]:
    """State them.

    Args:
        rows: those that were to be replayed.
        readings: those that were.
        coverage: what the log covers.
        prices: of the Reasoners.
        max_turns: the most turns of the policies.
        seen: questions left out since the DM had learned from them.
        unread: signals that the DM reads and no attempt has.
        in_sample: whether settings were chosen on these very rows.
    """
    found = [*_of_questions(readings, max_turns, seen), *_of_coverage(coverage), *_of_rows(rows), *_of_prices(prices)]
    if unread:
        text = f"The DM reads {', '.join(unread)}, which no attempt of this log has: in use, its scores may be better."
        found.append(("missing signals", len(unread), text))
    if in_sample:
        text = "Settings that were not given were chosen on these very questions, and look a little too good."
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
        f"{coverage.unexplored} runs ended at an accept, and no run of their Reasoner explored: what later turns would "
        "have brought, this log cannot tell. `create_drr_graph(…, explore=0.05)` makes one that can.",
    )
    yield (
        "stood for",
        coverage.censored - coverage.unexplored,
        f"{coverage.censored - coverage.unexplored} runs were cut off by an accept; {coverage.explored} that explored "
        "stand for them, which widens the intervals.",
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


def _of_prices(prices: Prices) -> Stated:
    unknown = prices.unknown
    yield (
        "no price",
        len(unknown),
        f"No price is known for {', '.join(unknown)}: USD are missing there. `--price-in` and `--price-out`, in USD "
        "per million tokens, give one; list prices come with the extra `prices`.",
    )
