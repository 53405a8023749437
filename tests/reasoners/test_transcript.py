"""Text comes in whole characters, and never past a stop sequence."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drr_agent.reasoners.transcript import Transcript, cut_at_stop

STOPS = st.lists(st.text("ab\n€", min_size=1, max_size=3), max_size=3)


def decode(tokens):
    return bytes(tokens).decode(errors="replace")


def push_all(tokens, stop):
    pieces = []
    transcript = Transcript(decode, stop=stop, emit=pieces.append)
    stopped = any(transcript.push(token) for token in tokens)
    return stopped, pieces


@pytest.mark.parametrize(
    ("text", "stop", "stopped", "pieces"),
    [
        pytest.param("abc", [], False, ["a", "b", "c"], id="each token at once"),
        pytest.param("a€b", [], False, ["a", "€", "b"], id="a character of three tokens is one piece"),
        pytest.param("a\nQ: b", ["\nQ:"], True, ["a"], id="a stop sequence is held back and cut"),
        pytest.param("a\nQ b", ["\nQ:"], False, ["a", "\nQ ", "b"], id="what only began like one is released"),
        pytest.param("xab", ["ab", "xabc"], True, ["x"], id="the shorter of two is found first"),
    ],
)
def test_pieces(text, stop, stopped, pieces):
    assert push_all(text.encode(), stop) == (stopped, pieces)


@given(text=st.text("ab\n€x"), stop=STOPS)
@example(text="aba", stop=["b", "aba"])
def test_pieces_join_to_the_text_before_the_stop_that_is_complete_first(text, stop):
    stopped, pieces = push_all(text.encode(), stop)
    seen = next((text[:end] for end in range(len(text) + 1) if cut_at_stop(text[:end], stop) != text[:end]), text)
    assert stopped == (cut_at_stop(text, stop) != text)
    assert cut_at_stop(seen, stop).startswith("".join(pieces))
    assert not stopped or "".join(pieces) == cut_at_stop(seen, stop)


@given(tokens=st.binary(max_size=30))
def test_torn_characters_never_come_out_changed_later(tokens):
    _, pieces = push_all(tokens, [])
    assert decode(tokens).startswith("".join(pieces))
