"""Scores are kept by content."""

import math
import sqlite3
from contextlib import closing

import pytest
from training.synthetic import make_behavior

from drr_agent.dm.protocol import Score
from drr_agent.errors import DataError, DMError
from drr_agent.replay.scores import score_rows


class CountingDM:
    """Scores by a signal, and counts what it is asked; breaks when told."""

    def __init__(self, digest="a" * 12, breaks_at=math.inf):
        self.digest, self.breaks_at, self.asked = digest, breaks_at, 0

    def score(self, requests):
        if self.asked >= self.breaks_at:
            raise KeyboardInterrupt
        self.asked += len(requests)
        said = (request.signals["p"] for request in requests)
        return [Score(p, p - 0.5, text_logit=2 * p) for p in said]


def row(number, p=0.5, **changes):
    return make_behavior(f"Question {number}?", **{"id": f"r{number}", "signals": {"p": p}, **changes})


def score(rows, dm, cache=None):
    return score_rows(rows, dm, cache=cache, progress=False)


def test_nothing_is_scored_twice(tmp_path):
    cache, rows, dm = tmp_path / "kept" / "scores.sqlite", [row(n, n / 10) for n in range(10)], CountingDM()
    first = score(rows, dm, cache)
    assert first["r3"] == Score(0.3, pytest.approx(-0.2), text_logit=0.6)
    assert score([*rows, row(11)], dm, cache) == {**first, "r11": Score(0.5, 0.0, text_logit=1.0)}
    assert dm.asked == 11


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        pytest.param({"id": "elsewhere"}, 0, id="the same content under another id"),
        pytest.param({"rationale": "otherwise"}, 1, id="another rationale"),
        pytest.param({"answer": "three"}, 1, id="another answer"),
        pytest.param({"context": "Before."}, 1, id="another context"),
        pytest.param({"signals": {"p": 0.4}}, 1, id="another signal"),
        pytest.param({"signals": {"p": 0.5, "q": None}}, 1, id="a signal more"),
        pytest.param({"logprobs": [-0.5, -0.1]}, 1, id="log probabilities"),
        pytest.param({"reasoner": "another"}, 1, id="another Reasoner"),
        pytest.param({"label": "incorrect"}, 0, id="another label, which no DM sees"),
        pytest.param({"answer": None}, 0, id="no answer"),
    ],
)
def test_the_key_is_what_a_dm_may_look_at(tmp_path, changes, asked):
    score([row(1)], CountingDM(), tmp_path / "s")
    dm = CountingDM()
    score([row(1, **changes)], dm, tmp_path / "s")
    assert dm.asked == asked


def test_another_dm_has_its_own(tmp_path):
    score([row(1)], CountingDM(), tmp_path / "s")
    other = CountingDM("b" * 12)
    score([row(1)], other, tmp_path / "s")
    assert other.asked == 1


def test_the_same_content_is_scored_once():
    dm = CountingDM()
    found = score([row(1), row(1, id="copy")], dm)
    assert dm.asked == 1
    assert found["r1"] == found["copy"]


def test_an_interrupt_keeps_what_is_there(tmp_path):
    rows = [row(n) for n in range(600)]
    with pytest.raises(KeyboardInterrupt):
        score(rows, CountingDM(breaks_at=512), tmp_path / "s")
    rest = CountingDM()
    assert len(score(rows, rest, tmp_path / "s")) == 600
    assert rest.asked == 600 - 512


class BrokenDM:
    digest = "c" * 12

    def __init__(self, scores):
        self.scores = scores

    def score(self, requests):
        return self.scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        pytest.param([], "a sequence of 1 `Score`s", id="too few"),
        pytest.param([Score(1.5)], r"a probability in \[0, 1\], got 1.5", id="no probability"),
        pytest.param([Score(math.nan)], r"got nan", id="not a number"),
        pytest.param([Score(0.5, math.inf)], r"a finite logit or None, got inf", id="a logit that is none"),
    ],
)
def test_a_broken_dm_is_refused_and_nothing_is_kept(tmp_path, scores, message):
    with pytest.raises(DMError, match=message):
        score([row(1)], BrokenDM(scores), tmp_path / "s")
    with closing(sqlite3.connect(tmp_path / "s")) as store:
        assert store.execute("SELECT count(*) FROM scores").fetchone() == (0,)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "s").write_text("not scores, and longer than a header of a database\n" * 20)
    with pytest.raises(DataError, match=r"expected a file of kept scores .*remove it, or name another"):
        score([row(1)], CountingDM(), tmp_path / "s")
    assert (tmp_path / "s").read_text().startswith("not scores")
