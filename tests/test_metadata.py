"""What a reply says of itself, in whatever form it comes."""

import math

import pytest
from langchain_core.messages import AIMessage

from drr_agent.metadata import read_entropy, read_logprobs, read_pieces, read_seconds, read_truncated, read_usage


@pytest.mark.parametrize(
    ("metadata", "truncated"),
    [
        pytest.param({"finish_reason": "length"}, True, id="openai, cut off"),
        pytest.param({"finish_reason": "stop"}, False, id="openai, done"),
        pytest.param({"stop_reason": "max_tokens"}, True, id="anthropic, cut off"),
        pytest.param({"finish_reason": "MAX_TOKENS"}, True, id="google, cut off"),
        pytest.param({}, None, id="unknown is not False"),
    ],
)
def test_truncated(metadata, truncated):
    assert read_truncated(AIMessage("x", response_metadata=metadata)) is truncated


def test_logprobs_and_usage():
    message = AIMessage(
        "x",
        response_metadata={"logprobs": {"content": [{"token": "x", "logprob": -0.25}]}},
        usage_metadata={"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
    )
    assert read_logprobs(message) == [-0.25]
    assert read_usage(message) == {"calls": 1, "unmetered_calls": 0, "input_tokens": 3, "output_tokens": 1}
    assert read_logprobs(AIMessage("x")) is None
    assert read_usage(AIMessage("x"))["unmetered_calls"] == 1


@pytest.mark.parametrize(
    "logprobs",
    [
        pytest.param("none", id="a text"),
        pytest.param({"content": "none"}, id="a text for a list"),
        pytest.param({"content": [{"token": "x", "logprob": None}]}, id="a null"),
        pytest.param({"content": [{"token": "x"}]}, id="none"),
        pytest.param({"content": [{"token": "x", "logprob": 10**400}]}, id="too great"),
        pytest.param({"content": [{"token": "x", "logprob": "NaN"}]}, id="no number"),
        pytest.param({"content": 3}, id="no list"),
    ],
)
def test_malformed_logprobs_are_unknown(logprobs):
    assert read_logprobs(AIMessage("x", response_metadata={"logprobs": logprobs})) is None


HALVES = [{"token": "x", "logprob": math.log(0.5)}, {"token": "y", "logprob": math.log(0.5)}]


@pytest.mark.parametrize(
    ("content", "entropy"),
    [
        pytest.param([{"top_logprobs": HALVES}], math.log(2), id="two halves"),
        pytest.param([{"top_logprobs": HALVES[:1]}], math.log(2) / 2, id="what is not listed adds nothing"),
        pytest.param([{"top_logprobs": HALVES}, {"top_logprobs": [{"logprob": 0.0}]}], math.log(2) / 2, id="mean"),
        pytest.param([{"top_logprobs": [{"logprob": -math.inf}, {"logprob": 1e-9}]}], 0.0, id="certain"),
        pytest.param([{"top_logprobs": HALVES}, {"logprob": -1.0}], math.log(2), id="a token without alternatives"),
        pytest.param([{"logprob": -1.0}], None, id="no alternatives"),
        pytest.param([{"top_logprobs": []}], None, id="an empty list of them"),
        pytest.param([{"top_logprobs": [{"logprob": math.nan}]}], None, id="no number"),
        pytest.param([{"top_logprobs": [{"logprob": None}]}], None, id="a null"),
        pytest.param([{"top_logprobs": "xy"}], None, id="a text"),
        pytest.param([{"top_logprobs": 3}], None, id="no list"),
        pytest.param(["x"], None, id="no token"),
        pytest.param(3, None, id="no tokens"),
    ],
)
def test_entropy(content, entropy):
    message = AIMessage("x", response_metadata={"logprobs": {"content": content}})
    assert read_entropy(message) == (None if entropy is None else pytest.approx(entropy, abs=1e-4))


def test_malformed_usage_is_unmetered():
    message = AIMessage("x", response_metadata={"drr_seconds": "soon"})
    message.usage_metadata = {"input_tokens": None}
    assert read_usage(message)["unmetered_calls"] == 1
    assert read_seconds(message) is None


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        pytest.param([{"token": " so"}, {"token": "é", "bytes": None}], [b" so", "é".encode()], id="by their text"),
        pytest.param([{"token": "bytes:\\xe2", "bytes": [0xE2]}], [b"\xe2"], id="by their bytes"),
        pytest.param([{"token": "\ufffd", "bytes": None}], [None], id="a part of a character"),
        pytest.param([{"token": "\ud83d"}], [b"?"], id="half of a surrogate pair"),
        pytest.param([], [], id="none"),
        pytest.param([{"logprob": -0.5}], None, id="no text"),
        pytest.param([{"token": 3}], None, id="a number for a text"),
        pytest.param([{"token": "x", "bytes": 10**12}], None, id="a number for bytes"),
        pytest.param([{"token": "x", "bytes": [256]}], None, id="no byte"),
        pytest.param([{"token": "x", "bytes": [10**400]}], None, id="far from a byte"),
        pytest.param(["x"], None, id="no token"),
        pytest.param(3, None, id="no tokens"),
    ],
)
def test_pieces(content, pieces):
    assert read_pieces(AIMessage("x", response_metadata={"logprobs": {"content": content}})) == pieces
