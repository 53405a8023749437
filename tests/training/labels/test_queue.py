"""What to look at next, and what is said of it."""

import pytest
from fakes import TableDM
from training.synthetic import make_behavior

from drr_agent.training.labels.log import LABELS, read_labels
from drr_agent.training.labels.queue import (
    Candidate,
    LabelQueue,
    Session,
    answered_by,
    is_judged,
    logged_score,
    score_by,
    select_for_judge,
)

AT = "2026-01-01T00:00:00.000+00:00"


def said(value, source="human:ann", at=AT):
    return {"value": value, "source": source, "at": at}


def open_row(row_id, score=None, question="q", **changes):
    return make_behavior(question, id=row_id, score=score, answer=changes.pop("answer", row_id), label=None, **changes)


def order(rows, *, threshold=0.5, scorer=logged_score, done=()):
    with LabelQueue(rows, threshold=threshold, scorer=scorer, done=done) as queue:
        shown = [candidate.row["id"] for candidate in queue]
        assert queue.count == len(shown)
        return " ".join(shown)


def by_question(**scores):
    """One open row a question."""
    return [open_row(row_id, score, question=row_id) for row_id, score in scores.items()]


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        pytest.param({"a": 0.9, "b": 0.52, "c": 0.3}, 0.5, "b c a", id="nearest first"),
        pytest.param({"a": 0.9, "b": 0.52, "c": 0.3}, 0.95, "a b c", id="another threshold"),
        pytest.param({"a": None, "b": 0.0, "c": None, "d": 0.5}, 0.5, "d b a c", id="without a score last, in order"),
        pytest.param({"a": 0.7, "b": 0.3}, 0.5, "a b", id="equally far, by id"),
    ],
)
def test_the_nearest_to_the_threshold_comes_first(scores, threshold, expected):
    assert order(by_question(**scores), threshold=threshold) == expected


def test_of_nearly_equal_ones_a_question_without_labels_comes_first():
    known = [open_row("a", 0.51, "known"), make_behavior("known", id="x", labels=[said("correct")])]
    twice = [open_row("b", 0.52, "twice"), open_row("c", 0.52, "twice")]
    assert order([*known, *twice, open_row("d", 0.53, "once")]) == "b d a c"
    assert order([open_row("a", 0.5, "known"), known[1], open_row("z", 0.9, "new")]) == "a z", "not of far ones"


def test_at_random_questions_come_whole_in_the_order_of_their_keys():
    names = [f"question {number}" for number in range(40)]
    rows = [open_row(f"{name}:{turn}", 0.5, name, turn=turn) for name in names for turn in (1, 2)]
    shuffled = sorted(rows, key=lambda row: (row["question"][::-1], row["turn"]))
    with LabelQueue(shuffled, threshold=None) as queue:
        shown = [candidate.row for candidate in queue]
    assert [row["question_key"] for row in shown] == sorted(row["question_key"] for row in rows)
    assert [row["turn"] for row in shown] == [1, 2] * 40
    assert [row["question"] for row in shown[::2]] != names


def test_at_random_a_later_session_goes_on_where_the_earlier_one_ended():
    rows = [open_row(f"{number}", None, f"question {number}") for number in range(20)]
    first = order(rows, threshold=None).split()
    judged = [{**row, "labels": [said("correct")]} if row["id"] in first[:5] else row for row in rows]
    assert order(judged, threshold=None).split() == first[5:]
    assert order(rows, threshold=None, done=first[:7]).split() == first[7:]
    grown = [*rows, *(open_row(f"new-{number}", None, f"new {number}") for number in range(20))]
    assert [row_id for row_id in order(grown, threshold=None).split() if row_id in first] == first


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        pytest.param([], True, id="nobody"),
        pytest.param([said("correct", "judge:x"), said("correct", "agreement")], True, id="models alone"),
        pytest.param([said(None)], True, id="skipped by somebody"),
        pytest.param([said("correct", "feedback:thumbs")], False, id="a user"),
        pytest.param([said("incorrect", "grader:auto")], False, id="a grader"),
    ],
)
def test_who_has_judged(labels, shown):
    row = make_behavior(id="a", labels=labels)
    assert is_judged(row) is not shown
    assert order([row]) == ("a" if shown else "")


def test_what_has_no_answer_or_was_seen_is_not_shown():
    rows = [open_row("a"), open_row("b", answer=None), open_row("c")]
    assert order(rows, done={"a"}) == "c"


def test_a_dm_scores_only_what_may_be_shown():
    dm = TableDM({"a": 0.1, "b": 0.5, "c": 0.4})
    rows = [*by_question(a=None, b=None, c=None), make_behavior("d", id="d"), open_row("e", answer=None)]
    assert order(rows, scorer=score_by(dm)) == "b c a"
    assert [request.answer for request in dm.requests] == ["a", "b", "c"]
    assert order([make_behavior(id="d")] * 600, scorer=score_by(dm)) == "", "nothing to score is asked of no DM"


def test_many_rows_are_scored_in_batches_and_stay_in_order():
    rows = [open_row(f"{n:04d}", n / 1000, question=f"q{n // 3}") for n in range(1000)]
    batches = []

    def scorer(batch):
        batches.append(len(batch))
        return logged_score(batch)

    shown = order(rows, threshold=1.0, scorer=scorer).split()
    assert max(batches) == 256
    assert sum(batches) == len(set(shown)) == 1000
    assert shown[0] == "0999"
    assert all(abs(int(shown[place]) - (999 - place)) <= 50 for place in range(1000)), "by distance, to the bucket"


def test_candidates_come_without_what_nobody_reads():
    row = open_row("a", 0.5, signals={"x": 1.0}, logprobs=[-0.1] * 1000)
    with LabelQueue([row], threshold=0.5, scorer=logged_score) as queue:
        assert list(queue) == [Candidate({**row, "signals": {}, "logprobs": None}, 0.5)]
        assert list(queue) == list(queue)


@pytest.fixture
def session(tmp_path):
    return Session(log=tmp_path / LABELS, source="human:ann")


def candidate(row_id):
    return Candidate(open_row(row_id), None)


def test_each_answer_is_written_at_once(session):
    for row_id, value in (("a", "correct"), ("b", "incorrect"), ("c", None)):
        session.say(candidate(row_id), value)
        line = list(read_labels(session.log))[-1]
        assert (line.id, line.value, line.source) == (row_id, value, "human:ann")
    assert (session.labelled, session.skipped) == (2, 1)
    assert answered_by(session.log, "human:ann") == {"a", "b", "c"}
    assert answered_by(session.log, "human") == set()


def test_the_latest_answer_is_taken_back_and_the_one_before_it(session):
    assert session.undo() is None
    for row_id in "ab":
        session.say(candidate(row_id), "correct")
    assert [session.undo().row["id"], session.undo().row["id"], session.undo()] == ["b", "a", None]
    assert (session.labelled, session.skipped) == (0, 0)
    assert answered_by(session.log, "human:ann") == set(), "they come again"
    session.say(candidate("a"), "incorrect")
    assert answered_by(session.log, "human:ann") == {"a"}


def test_times_never_stand_still(session):
    for _ in range(50):
        session.say(candidate("a"), "correct")
    times = [line.at for line in read_labels(session.log)]
    assert len(set(times)) == 50
    assert times == sorted(times)


def test_a_judge_is_shown_some_that_are_judged_and_all_that_are_not():
    judged = [make_behavior(f"j{n}", id=f"j{n}") for n in range(50)]
    rows = [
        *judged,
        open_row("a"),
        open_row("b", answer=None),
        make_behavior(id="c", labels=[said("correct", "judge:x")]),
    ]
    chosen = [row["id"] for row in select_for_judge(lambda: rows, check=5)]
    assert chosen[5:] == ["a", "c"]
    assert len(set(chosen[:5])) == 5
    assert [row["id"] for row in select_for_judge(lambda: reversed(rows), check=5)][:5] == chosen[:5], "the same ones"
    assert [row["id"] for row in select_for_judge(lambda: rows, check=0)] == ["a", "c"]
