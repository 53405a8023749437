"""Signals as a table; missing is missing."""

import math

import pytest
from fakes import make_attempt
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.signals import DEFAULT_SIGNALS, SignalInput, compute_signals


def signals_of(**changes):
    return compute_signals(DEFAULT_SIGNALS, SignalInput(question="q", draft=make_attempt(**changes)))


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_mean", -2.0, id="mean"),
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_min", -3.0, id="min"),
        pytest.param({"logprobs": [-1.0, -3.0]}, "logprob_sum", -4.0, id="sum"),
        pytest.param({"logprobs": None}, "logprob_mean", None, id="no logprobs"),
        pytest.param({"logprobs": [-math.inf, -1.0]}, "logprob_min", None, id="an impossible token is no number"),
        pytest.param({"truncated": True}, "truncated", 1.0, id="cut off"),
        pytest.param({"truncated": None}, "truncated", None, id="nobody says"),
        pytest.param({"answer": None}, "answer_found", 0.0, id="no answer"),
        pytest.param({"rationale": "3 + 4 = 8\n1 + 1 = 2"}, "arithmetic_errors", 1.0, id="a slip"),
        pytest.param({"rationale": "because"}, "arithmetic_errors", None, id="no calculation"),
        pytest.param({"rationale": ""}, "log_length", 0.0, id="nothing written"),
    ],
)
def test_signal(changes, name, value):
    assert signals_of(**changes)[name] == (None if value is None else pytest.approx(value))


def test_a_user_adds_a_function():
    signals = {**DEFAULT_SIGNALS, "repeats": lambda given: float(len(given.attempts))}
    given_input = SignalInput(question="q", draft=make_attempt(), attempts=[make_attempt()])
    assert compute_signals(signals, given_input)["repeats"] == 1.0


@given(st.lists(st.floats(max_value=0.0)), st.text(), st.none() | st.booleans())
def test_every_value_is_finite_or_missing(logprobs, rationale, truncated):
    values = signals_of(logprobs=logprobs, rationale=rationale, truncated=truncated)
    assert set(values) == set(DEFAULT_SIGNALS)
    assert all(value is None or math.isfinite(value) for value in values.values())
