"""Who said what of an answer, by any store's words."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.labels import LABEL_ORDER, label_kind
from drr_agent.training.sources.traces.verdicts import (
    Judgment,
    make_judgment,
    make_source,
    read_verdict,
    source_kind,
    to_labels,
)

KINDS = {
    "human": ["app", "ANNOTATION", "HUMAN", " Human "],
    "judge": ["model", "auto_eval", "EVAL", "LLM_JUDGE", "AI_JUDGE"],
    "environment": ["CODE"],
    "feedback": ["api", "API", "", "whatever", None, 5, ["human"]],
}


@pytest.mark.parametrize(("word", "kind"), [(word, kind) for kind, words in KINDS.items() for word in words], ids=str)
def test_whose_word_it_is(word: Any, kind: str):
    assert source_kind(word) == kind
    assert kind in LABEL_ORDER


@pytest.mark.parametrize(
    ("name", "source"),
    [("ok", "human:ok"), (" a:b ", "human:a:b"), ("\ud83d", "human:?"), ("", "human"), (None, "human"), (5, "human")],
)
def test_names_tell_sources_apart(name: Any, source: str):
    assert make_source("human", name) == source


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        *[(value, "correct") for value in (True, 1, 1.0, 0.5, "0.5", "1", "yes", "TRUE", " Pass ", "passed")],
        *[(value, "incorrect") for value in (False, 0, 0.49, "0", "no", "Fail", "failed")],
        *[(value, None) for value in (4, -1, 1.5, 2**70, -(2**70), float("nan"), float("inf"), "so-so", "", None, [])],
    ],
    ids=str,
)
def test_what_a_score_says(value: Any, verdict: str | None):
    assert read_verdict(value) == verdict


OTHER_MATTERS = [
    *("latency", "LATENCY", "duration", "response_time", "Time to first token", "p95Latency", "ttft-ms", "cost"),
    *("total_cost", "priceUSD", "tokens", "totalTokens", "word_count", "answer.length", "toxicity", "Toxic", "bias"),
    *("harmfulness", "hate", "PII", "PIIDetected", "safety", "sentiment", "tone", "style", "readability"),
    *("conciseness", "verbosity", "fluency", "coherence", "politeness", "semantic-similarity", "embedding_similarity"),
]
ITS_OWN = [
    *("thumb", "user_score", "correctness", "helpfulness", "quality", "ok", "5", "", None, 5, "Übung"),
    *("price_correct", "time accuracy", "right_count", "exact_match", "discount", "lifetime", "stone", "second_rater"),
]


@pytest.mark.parametrize("value", [0, 1, 0.2, True, "0.9", "yes", "pass", "incorrect"], ids=repr)
@pytest.mark.parametrize("name", OTHER_MATTERS)
def test_a_score_of_another_matter_says_nothing(name: str, value: Any):
    assert read_verdict(value, name) is None


@pytest.mark.parametrize("name", ITS_OWN, ids=str)
def test_any_other_name_lets_a_score_speak(name: Any):
    assert (read_verdict(1, name), read_verdict("no", name)) == ("correct", "incorrect")


def test_a_score_of_another_matter_is_kept_and_outvotes_nobody():
    said = [make_judgment("api", name, value) for name, value in (("thumb", 1), ("latency", 0.2), ("toxicity", 0))]
    assert [(label["source"], label["value"]) for label in to_labels(said)] == [
        ("feedback:latency", None),
        ("feedback:thumb", "correct"),
        ("feedback:toxicity", None),
    ]


def rated(value: Any, author: str = "", day: int = 1, *, name: str = "ok", summary: bool = False) -> Judgment:
    judgment = make_judgment("human", name, value, author=author, at=f"2026-01-0{day}")
    return {**judgment, "summary": summary}


TOGETHER: dict[str, tuple[list[Judgment], dict[str, str | None]]] = {
    "nobody": ([], {}),
    "one": ([rated(1)], {"human:ok": "correct"}),
    "raters who agree": ([rated(1, "a"), rated(1, "b")], {"human:ok": "correct"}),
    "raters who disagree": ([rated(1, "a"), rated(0, "b", 2)], {"human:ok": None}),
    "a rater who changed their mind": ([rated(1, "a"), rated(0, "a", 2)], {"human:ok": "incorrect"}),
    "the same, in another order": ([rated(0, "a", 2), rated(1, "a")], {"human:ok": "incorrect"}),
    "raters whom nobody tells apart": ([rated(1), rated(0, day=2)], {"human:ok": "incorrect"}),
    "one who says nothing": ([rated(1, "a"), rated("hm", "b")], {"human:ok": "correct"}),
    "all say nothing": ([rated("hm", "a"), rated(7, "b")], {"human:ok": None}),
    "sources of their own": ([rated(1), rated(0, name="b")], {"human:b": "incorrect", "human:ok": "correct"}),
    "a sum alone": ([rated(0, summary=True)], {"human:ok": "incorrect"}),
    "a sum beside what it sums up": ([rated(0, summary=True), rated(1)], {"human:ok": "correct"}),
    "a sum that does not say of whom": (
        [{**rated(0, summary=True), "source": "feedback:ok"}, rated(1)],
        {"human:ok": "correct"},
    ),
    "a sum of others": ([rated(0, summary=True), rated(1, name="b")], {"human:b": "correct", "human:ok": "incorrect"}),
}


@pytest.mark.parametrize(("judgments", "expected"), TOGETHER.values(), ids=TOGETHER)
def test_what_raters_say_together(judgments: list[Judgment], expected: dict[str, str | None]):
    labels = to_labels(judgments, turn=3)
    assert {label["source"]: label["value"] for label in labels} == expected
    assert [label["turn"] for label in labels] == [3] * len(expected)


def test_a_label_is_as_late_as_its_latest_judgment():
    (label,) = to_labels([rated(1, "a", 2), rated(1, "b", 1), {**rated(1, "c"), "at": None}])
    assert label["at"] == "2026-01-02T00:00:00.000+00:00"


@given(st.lists(st.tuples(st.sampled_from([0, 1, 7]), st.sampled_from("ab"), st.integers(1, 9)), max_size=6))
def test_no_order_matters_but_that_of_times(said: list[tuple[int, str, int]]):
    judgments = [rated(*one) for one in {(author, day): (value, author, day) for value, author, day in said}.values()]
    assert to_labels(judgments) == to_labels(judgments[::-1])
    assert all(label_kind(label["source"]) == "human" for label in to_labels(judgments))
