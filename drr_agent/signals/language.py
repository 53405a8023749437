"""What a rationale's wording gives away: doubt, second thoughts, refusal, and a conclusion that denies its answer.

The word lists are English; a rationale in another language counts none of them.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from drr_agent.prompts import read_confidence, split_confidence
from drr_agent.signals.form import answer_yes_no, read_form
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.signals.words import count_words, fold

_HEDGES = frozenset(
    {"maybe", "perhaps", "possibly", "probably", "presumably", "likely", "seems", "seem", "appears", "approximately"}
    | {"roughly", "assume", "assuming", "suppose", "guess", "unsure", "unclear", "might", "could", "however"}
)
_HEDGE_PHRASES = ("not sure", "not certain", "i think", "i believe", "not entirely", "hard to say", "it depends")
_SECOND_THOUGHTS = frozenset({"wait", "actually", "hmm", "oops", "alternatively", "mistake", "recheck", "reconsider"})
_SECOND_THOUGHT_PHRASES = (
    *("re-check", "double-check", "double check", "let me check", "let's check", "hold on", "on second thought"),
    *("start over", "try again", "that's not right", "that's wrong"),
)
_MISMATCHES = (
    *(
        "closest",
        "not listed",
        "not one of the",
        "none of the options",
        "not among the",
        "does not match",
        "doesn't match",
    ),
    *("not an option", "mistake in the", "error in the question", "error in the problem", "misunderstanding"),
    *("miscalculation", "typo in the"),
)
_NEGATIONS = frozenset({"no", "not", "never", "none", "nothing", "neither", "nor", "cannot", "without"})
_REFUSALS = (
    *("i cannot", "i can't", "i am unable", "i'm unable", "i am sorry", "i'm sorry", "as an ai", "i do not know"),
    *("i don't know", "cannot be determined", "can't be determined", "not enough information"),
    *("insufficient information", "cannot answer", "impossible to determine"),
)
_DENIALS = _NEGATIONS | {"false", "incorrect", "wrong", "impossible", "implausible", "unlikely", "untrue"}
_TAIL = 1_000
"""Characters at the end of a rationale in which its last sentence is looked for."""
_SENTENCE_BREAK = re.compile(r"(?<=[.!?])\s+")


def hedges(given: SignalInput) -> float | None:
    """How often the rationale doubts: "maybe", "approximately", "I think"."""
    return _count(given, _HEDGES, _HEDGE_PHRASES)


def second_thoughts(given: SignalInput) -> float | None:
    """How often the rationale turns back: "wait", "actually", "let me re-check"."""
    return _count(given, _SECOND_THOUGHTS, _SECOND_THOUGHT_PHRASES)


def mismatches(given: SignalInput) -> float | None:
    """How often the rationale says that its result does not fit: "closest to", "not listed", "a mistake in the"."""
    return _count(given, frozenset(), _MISMATCHES)


def negations(given: SignalInput) -> float | None:
    """How often the rationale negates; `n't` counts."""
    rationale = given.draft["rationale"]
    return None if read_form(rationale) is None else float(_denials(rationale, _NEGATIONS))


def refusal(given: SignalInput) -> float | None:
    """1 when rationale or answer say that there is no answering: "I cannot", "cannot be determined"."""
    texts = [fold(text) for text in (given.draft["rationale"], given.draft["answer"]) if text]
    return float(any(phrase in text for text in texts for phrase in _REFUSALS)) if texts else None


def conclusion_agrees(given: SignalInput) -> float | None:
    """1 when the rationale's last sentence leans the way of a yes/no answer, 0 when it leans the other way.

    A sentence that says yes or no leans so; any other leans to no where it denies an odd number of times.
    """
    sentence = _last_sentence(given.draft["rationale"])
    if not answer_yes_no(given) or not count_words(sentence):
        return None
    affirmed = not count_words(str(given.draft["answer"])).keys() & {"no", "false"}
    return float(affirmed == _affirms(sentence))


def stated_confidence(given: SignalInput) -> float | None:
    """How sure the Reasoner says it is, in [0, 1], where it was asked to say so (`Prompts.confidence`)."""
    return read_confidence(given.draft["rationale"])


def _affirms(sentence: str) -> bool:
    said = count_words(sentence).keys() & {"yes", "no"}
    return "yes" in said if len(said) == 1 else _denials(sentence, _DENIALS) % 2 == 0


def _denials(text: str, denying: Collection[str]) -> int:
    return sum(count for word, count in count_words(text).items() if word in denying or word.endswith("n't"))


def _count(given: SignalInput, words: Iterable[str], phrases: Iterable[str]) -> float | None:
    rationale = given.draft["rationale"]
    if read_form(rationale) is None:
        return None
    counts, folded = count_words(rationale), fold(rationale)
    return float(sum(counts[word] for word in words) + sum(folded.count(phrase) for phrase in phrases))


def _last_sentence(rationale: str) -> str:
    lines = split_confidence(rationale[-_TAIL:])[0].strip().splitlines()
    return _SENTENCE_BREAK.split(lines[-1])[-1] if lines else ""


LANGUAGE_SIGNALS: Mapping[str, Signal] = {
    "hedges": hedges,
    "second_thoughts": second_thoughts,
    "mismatches": mismatches,
    "negations": negations,
    "refusal": refusal,
    "conclusion_agrees": conclusion_agrees,
    "stated_confidence": stated_confidence,
}
