"""Where tokens stand in a rationale: as a table, for any text, and with a Reasoner that really generates."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from drr_agent.drafts import read_draft
from drr_agent.parsing import ReasonedAnswer, StructuredOutput, get_parser
from drr_agent.reasoners.resolve import create_reasoner
from drr_agent.spans import read_spans


def reply(*tokens, text=None, **changes):
    """A message of these tokens, each given as its text or as its text and its bytes."""
    pairs = [token if isinstance(token, tuple) else (token, list(token.encode())) for token in tokens]
    content = [{"token": said, "bytes": spelled, "logprob": -1.0} for said, spelled in pairs]
    return AIMessage(
        "".join(said for said, _ in pairs) if text is None else text,
        response_metadata={"logprobs": {"content": content}},
        **changes,
    )


SMILE = [("?", [byte]) for byte in "🙂".encode()]
UNTOLD = [("\ufffd", None)] * 2


@pytest.mark.parametrize(
    ("message", "parser", "rationale", "spans"),
    [
        pytest.param(
            reply("2", " + 2", "\n", "Answer", ": 4"), "answer", "2 + 2", [0, 1, None, None, None], id="answer line"
        ),
        pytest.param(reply(" ", "so", " it is"), "answer", "so it is", [None, 0, 2], id="white space at the ends"),
        pytest.param(reply("\nso", ".\n"), "answer", "so.", [0, 2], id="a token half of which is stripped"),
        pytest.param(
            reply("<think>", "hm", "</think>", "\n", "so", "\nAnswer: 4"),
            "answer",
            "hm\nso",
            [None, 0, None, None, 3, None],
            id="think tags",
        ),
        pytest.param(
            reply("We.", " <think>", "hm", "</think>"),
            "answer",
            "hm\nWe.",
            [3, None, 0, None],
            id="a thought after the text",
        ),
        pytest.param(
            reply("so <think>so</think>", text="so <think>so</think>"), "answer", "so\nso", [0], id="said twice"
        ),
        pytest.param(
            reply("<think>", "hm", "</think>", "so", text="so", additional_kwargs={"reasoning_content": "hm"}),
            "answer",
            "hm\nso",
            [None, 0, None, 3],
            id="reasoning kept apart, with tokens",
        ),
        pytest.param(
            reply("so", additional_kwargs={"reasoning_content": "hm"}),
            "answer",
            "hm\nso",
            [3],
            id="reasoning kept apart, without tokens",
        ),
        pytest.param(
            reply("so", "\nAnswer: 4", "\nConfidence: 80 %"),
            "answer",
            "so\nConfidence: 80 %",
            [0, None, 3],
            id="a confidence behind the answer",
        ),
        pytest.param(
            reply("é", *SMILE, "so", text="é🙂so"), "answer", "é🙂so", [0, 1, 1, 1, 1, 2], id="bytes of a character"
        ),
        pytest.param(
            reply("so ", *UNTOLD, " so", text="so 🙂 so"),
            "answer",
            "so 🙂 so",
            [0, 3, 3, 4],
            id="parts of a character, untold",
        ),
        pytest.param(reply(*UNTOLD, text="🙂🙂"), "answer", "🙂🙂", [0, 0], id="nothing but parts of characters"),
        pytest.param(
            reply("so", *SMILE[:2], text="so\ufffd"), "answer", "so\ufffd", [0, 2, 2], id="cut off in a character"
        ),
        pytest.param(reply("so", "<stop>", text="so"), "answer", "so", [0, None], id="cut at a stop sequence"),
        pytest.param(reply("so", "it", text="so it"), "answer", "so it", None, id="blanks lost in the tokens"),
        pytest.param(reply("x", *UNTOLD, "y", text="x🙂z"), "answer", "x🙂z", None, id="tokens of another text"),
        pytest.param(reply("4"), "message", "", None, id="no rationale"),
        pytest.param(reply(), "answer", "", None, id="no tokens"),
    ],
)
def test_spans(message, parser, rationale, spans):
    read = get_parser(parser).parse(message)
    assert read.rationale == rationale
    assert read_spans(message, read.rationale) == spans


@pytest.mark.parametrize(
    ("rationale", "cut"),
    [
        pytest.param("2 + 2", 1, id="plain"),
        pytest.param('\\frac{1}{2} "half"\nso 🙂 é', 1, id="escapes, a character a token"),
        pytest.param("\\alpha\n\nthe end", 3, id="escapes, cut anywhere"),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False], ids=["ascii", "utf-8"])
def test_spans_in_json(rationale, cut, ascii_only):
    raw = json.dumps({"rationale": rationale, "answer": "4"}, ensure_ascii=ascii_only)
    tokens = [raw[start : start + cut] for start in range(0, len(raw), cut)]
    message = reply(*tokens)
    read = StructuredOutput().parse({"raw": message, "parsed": ReasonedAnswer.model_validate_json(raw)})
    spans = read_spans(message, read.rationale)
    inside = [span for span in spans if span is not None]
    assert inside == sorted(inside)
    assert set(inside) == set(range(len(rationale))) if cut == 1 else len(inside) >= len(rationale) / cut
    for token, span in zip(tokens, spans, strict=True):
        if span is not None and "\\" not in token and len(token) == 1 and not rationale.startswith(token, span):
            raise AssertionError((token, span))


def test_a_draft_tells_where_its_tokens_stand():
    message = reply("so", "\nAnswer: 4")
    draft = read_draft(get_parser("answer").parse(message), message, feedback="first", seconds=0.0)
    assert (draft["logprobs"], draft["spans"]) == ([-1.0, -1.0], [0, None])
    assert "spans" not in read_draft(get_parser("answer").parse(message), AIMessage("x"), feedback="first", seconds=0.0)


@given(
    st.lists(st.text(st.sampled_from('ab é🙂\n\\"<think></think>Answer: 4\ud83d'), max_size=9), max_size=12),
    st.sampled_from(["answer", "number", "message"]),
)
def test_a_span_is_a_place_of_its_token(tokens, parser):
    message = reply(*((token, None) for token in tokens))
    rationale = get_parser(parser).parse(message).rationale
    spans = read_spans(message, rationale)
    assert spans is None or len(spans) == len(tokens)
    for token, span in zip(tokens, spans or (), strict=bool(spans)):
        if span is not None:
            clean = token.encode("utf-8", "replace").decode("utf-8")
            assert any(rationale.startswith(clean[start : start + 1], span) for start in range(len(clean)))


@given(st.lists(st.text(min_size=1, max_size=5), max_size=12).map("".join), st.lists(st.integers(1, 4), max_size=40))
def test_bytes_are_placed_however_they_are_cut(text, lengths):
    data, tokens = text.encode(), []
    for length in (*lengths, len(data)):
        if data:
            tokens.append(("?", list(data[:length])))
            data = data[length:]
    rationale = get_parser("answer").parse(AIMessage(text)).rationale
    if rationale == text and text:
        spans, place = read_spans(reply(*tokens, text=text), rationale), 0
        for (_, spelled), span in zip(tokens, spans, strict=True):
            assert span == len(text.encode()[:place].decode("utf-8", "ignore"))
            place += len(spelled)


@pytest.mark.parametrize("seed", range(3))
def test_the_tokens_of_a_reasoner_stand_in_its_rationale(seed):
    reasoner = create_reasoner("pocket", logprobs=True, temperature=1.0, seed=seed, max_tokens=60)
    message = reasoner.invoke("Tom has 3 apples and buys 4 more. How many apples?")
    read = get_parser("answer").parse(message)
    assert read.answer is not None
    draft = read_draft(read, message, feedback="first", seconds=0.0)
    tokens = [token["token"] for token in message.response_metadata["logprobs"]["content"]]
    assert len(draft["spans"]) == len(draft["logprobs"]) == len(tokens)
    inside = [(token, span) for token, span in zip(tokens, draft["spans"], strict=True) if span is not None]
    assert all(read.rationale.startswith(token, span) for token, span in inside)
    assert "".join(token for token, _ in inside) == read.rationale
    assert draft["spans"][-3:] == [None, None, None], "the answer line is outside"
