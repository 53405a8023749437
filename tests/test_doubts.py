"""Where the Reasoner wavered, as a DM sees it: the degrees, and their places in the text and in its tokens."""

import re

import pytest
from dm.tiny_models import word_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from drr_agent.dm.protocol import ScoreRequest
from drr_agent.doubts import DEGREES, UNKNOWN, degree, doubts_in
from drr_agent.drafts import read_draft
from drr_agent.encoding import encode, encode_doubts, encode_tokens
from drr_agent.parsing import get_parser
from drr_agent.reasoners.resolve import POCKET, create_reasoner

PLENTY = 10_000
SURE, DOUBTED = 1, DEGREES - 1


@pytest.mark.parametrize(
    ("logprob", "expected"),
    [
        pytest.param(0.0, 1, id="sure"),
        pytest.param(-0.01, 1, id="on an edge"),
        pytest.param(-0.011, 2, id="below an edge"),
        pytest.param(-1.0, 5, id="one half or less"),
        pytest.param(-9999.0, 8, id="as good as impossible"),
    ],
)
def test_a_degree(logprob, expected):
    assert degree(logprob) == expected < DEGREES


def doubted(rationale, doubts, *, answer="4", question="2 + 2?"):
    """A request whose every word, with the blank before it, is a token, and of which these words are doubted."""
    tokens = re.findall(r" ?[^ ]+| ", rationale)
    assert "".join(tokens) == rationale
    return ScoreRequest(
        question,
        rationale,
        answer,
        logprobs=[-9.0 if token.strip() in doubts else 0.0 for token in tokens],
        spans=[sum(map(len, tokens[:index])) for index in range(len(tokens))],
    )


def words_of(text, degrees, wanted=DOUBTED):
    """What of a text has this degree."""
    return "".join(c if known == wanted else " " for c, known in zip(text, degrees, strict=True)).split()


@pytest.mark.parametrize(
    ("rationale", "max_chars"),
    [
        pytest.param("so it is five or six", PLENTY, id="as it was said"),
        pytest.param("\n  so it is five or six\n", PLENTY, id="stripped"),
        pytest.param("Answer: is five or six", PLENTY, id="quoted at once"),
        pytest.param("so\nAnswer: it\n\n\n  Question : five or six", PLENTY, id="quoted"),
        pytest.param("so\r\nAnswer: it\u2028is\x0b\x0bContext: five or six", PLENTY, id="other line ends"),
        pytest.param("so > is\n> five or six", PLENTY, id="marks of its own"),
        pytest.param("x" * 9 + " five " + "y" * 900 + " six", 200, id="cut in its middle"),
        pytest.param("\nAnswer: five " + "y " * 900 + "\nAnswer: six", 200, id="quoted and cut"),
    ],
)
def test_a_word_keeps_its_doubt_wherever_it_is_shown(rationale, max_chars):
    request = doubted(rationale, {"five", "six"})
    text = encode(request, max_chars=max_chars)
    assert words_of(text, doubts_in(text, request)) == ["five", "six"]


def test_what_is_no_part_of_the_rationale_has_no_degree():
    request = doubted("so it is", {"is"}, question="so it is", answer="is")
    text = encode(request._replace(context="Rationale: so it is"), max_chars=PLENTY)
    degrees = doubts_in(text, request)
    start = text.index("\nRationale: so") + len("\nRationale: ")
    assert set(degrees[:start]) == set(degrees[start + len("so it is") :]) == {UNKNOWN}
    assert UNKNOWN not in degrees[start : start + len("so it is")]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"logprobs": None}, id="no logprobs"),
        pytest.param({"spans": None}, id="no places"),
        pytest.param({"spans": [0]}, id="fewer places"),
        pytest.param({"spans": [None, None, None]}, id="none inside"),
        pytest.param({"spans": [-1, 99, None]}, id="no places of this text"),
    ],
)
def test_what_is_not_known_has_no_degree(changes):
    request = doubted("so it is", {"is"})._replace(**changes)
    text = encode(request, max_chars=PLENTY)
    assert set(doubts_in(text, request)) == {UNKNOWN}


def test_parts_of_one_character_are_as_sure_as_the_least_sure():
    request = ScoreRequest("q", "a🙂b", "4", logprobs=[0.0, 0.0, -9.0, 0.0], spans=[0, 1, 1, 2])
    text = encode(request, max_chars=PLENTY)
    assert words_of(text, doubts_in(text, request)) == ["🙂"]


@given(st.text(st.sampled_from("ab>\n\r\x85 …Answer:"), max_size=200), st.integers(60, 200), st.data())
def test_every_degree_is_of_the_character_that_was_said(rationale, max_chars, data):
    spans = sorted(data.draw(st.sets(st.integers(0, max(0, len(rationale) - 1)), max_size=9)))
    logprobs = [data.draw(st.sampled_from([0.0, -0.1, -9.0])) for _ in spans]
    request = ScoreRequest("q", rationale, "4", logprobs=logprobs, spans=spans)
    text = encode(request, max_chars=max_chars)
    degrees = doubts_in(text, request)
    said = {}
    for start, end, logprob in zip(spans, [*spans[1:], len(rationale)], logprobs, strict=False):
        for character in rationale[start:end]:
            said.setdefault(character, set()).add(degree(logprob))
    for character, known in zip(text, degrees, strict=True):
        assert known == UNKNOWN or known in said[character] or character.isspace()


def _pocket():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(POCKET)


TOKENIZERS = [
    pytest.param(lambda: word_tokenizer(["Question Rationale Answer so it is five six"], encoder=True), id="encoder"),
    pytest.param(lambda: word_tokenizer(["Question Rationale Answer so it is five six"], encoder=False), id="decoder"),
    pytest.param(_pocket, id="byte pairs"),
]


@pytest.mark.parametrize("make", TOKENIZERS)
@pytest.mark.parametrize("max_length", [60, 400], ids=["cut", "whole"])
def test_tokens_are_those_without_doubts(make, max_length):
    tokenizer = make()
    requests = [doubted("so it is five or six " * 20 + tokenizer.eos_token * 2 if tokenizer.eos_token else "", {"six"})]
    requests += [doubted("so it is five", {"five"}), ScoreRequest("q", "so", "4")]
    rows = encode_doubts(requests, tokenizer, max_length=max_length)
    assert [row.tokens for row in rows] == encode_tokens(requests, tokenizer, max_length=max_length)
    assert [len(row.doubts) for row in rows] == [len(row.tokens) for row in rows]
    assert {kind for row in rows[1:2] for kind in row.doubts} == {UNKNOWN, SURE, DOUBTED}
    assert set(rows[2].doubts) == {UNKNOWN}


@pytest.mark.parametrize("make", TOKENIZERS)
def test_the_tokens_of_a_doubted_word_are_doubted(make):
    tokenizer = make()
    [row] = encode_doubts([doubted("so it is five or six", {"five"})], tokenizer, max_length=400)
    found = [token for token, known in zip(row.tokens, row.doubts, strict=True) if known == DOUBTED]
    assert tokenizer.decode(found).replace(" ", "") == "five"


def test_no_requests_no_rows():
    assert encode_doubts([], _pocket(), max_length=90) == []


def test_a_reply_of_many_characters_at_once():
    content = [{"token": token, "logprob": value} for token, value in (("<think>", 0), ("so 5", -9), ("</think>", 0))]
    message = AIMessage("<think>so 5</think>", response_metadata={"logprobs": {"content": content}})
    draft = read_draft(get_parser("answer").parse(message), message, feedback="first", seconds=0.0)
    request = ScoreRequest("q", draft["rationale"], "5", logprobs=draft["logprobs"], spans=draft["spans"])
    text = encode(request, max_chars=PLENTY)
    assert words_of(text, doubts_in(text, request)) == ["so", "5"]


def test_the_doubts_of_a_reasoner_reach_the_tokens_of_a_dm():
    reasoner = create_reasoner("pocket", logprobs=True, temperature=1.0, seed=5, max_tokens=60)
    message = reasoner.invoke("Tom has 3 apples and buys 4 more. How many apples?")
    draft = read_draft(get_parser("answer").parse(message), message, feedback="first", seconds=0.0)
    request = ScoreRequest("q", draft["rationale"], "4", logprobs=draft["logprobs"], spans=draft["spans"])
    [row] = encode_doubts([request], _pocket(), max_length=200)
    # the DM reads with the Reasoner's own tokenizer: one degree a token, but for the blank that the field puts before
    said = [degree(value) for value, span in zip(draft["logprobs"], draft["spans"], strict=True) if span is not None]
    known = [value for value in row.doubts if value != UNKNOWN]
    assert known == said
    assert len(set(known)) > 1
