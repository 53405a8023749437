"""Logged attempts as questions: what stands together, what counts how much, and that a replay of it tells the truth."""

import math
import random
import re
from collections import Counter
from statistics import fmean, stdev

import pytest
from fakes import FunctionChatModel, TableDM
from hypothesis import given
from hypothesis import strategies as st
from training.synthetic import make_behavior, make_behaviors

from drr_agent import RunLog, create_drr_graph
from drr_agent.dm.protocol import Score
from drr_agent.errors import DataError
from drr_agent.policy import BestScorePolicy, Decision, MajorityPolicy, ThresholdPolicy, first_ended
from drr_agent.training.harvest import harvest
from drr_agent.training.logged import label_questions, require_judged, shuffled
from drr_agent.training.threshold import replay
from drr_agent.training.weights import weigh_rows


class SignalDM:
    """Reads the score from a signal."""

    digest = "signal"

    def __init__(self):
        self.asked = 0

    def score(self, requests):
        self.asked += len(requests)
        return [Score(request.signals.get("score", 0.5)) for request in requests]


def run_rows(run_id, turns, *, ended="accept", explored=0, rate=0.25, question="q", **changes):
    """A run in use of `turns` attempts, then `explored` more that were made to explore."""
    rows = []
    for turn in range(1, turns + explored + 1):
        tail = turn > turns
        verdict = None if tail else ended if turn == turns else "reject"
        told = {"id": f"{run_id}:{turn}", "run_id": run_id, "turn": turn, "draw": None, "verdict": verdict}
        told |= {"feedback": "first" if turn == 1 else "fresh", "answer": f"{run_id} {turn}"}
        told |= {"origin": "explored" if tail else "live", "propensity": rate if tail else 1.0}
        rows.append(make_behavior(question, **{**told, **changes}))
    return rows


def draw_rows(draw, turns=1, *, origin="distilled", question="q", **changes):
    """A distilled draw, of several turns where it was told that it was wrong."""
    return [
        make_behavior(
            question,
            id=f"{origin}-{draw}:{turn}",
            run_id=f"{origin}-{draw}",
            turn=turn,
            draw=draw,
            origin=origin,
            feedback="first" if turn == 1 else "history",
            answer=f"{draw} {turn}",
            **changes,
        )
        for turn in range(1, turns + 1)
    ]


def answers(question):
    return [attempt["answer"] for attempt in question.attempts]


def read(*runs):
    """What is made of some runs."""
    return label_questions([row for rows in runs for row in rows], SignalDM())


@pytest.mark.parametrize(
    ("runs", "groups"),
    [
        pytest.param([draw_rows(1), draw_rows(0)], [["0 1", "1 1"]], id="distilled draws are pooled, in order"),
        pytest.param(
            [draw_rows(0, origin="imported"), draw_rows(1, origin="imported")], [["0 1", "1 1"]], id="imported"
        ),
        pytest.param([draw_rows(0, origin="traced"), draw_rows(1, origin="traced")], [["0 1"], ["1 1"]], id="traced"),
        pytest.param([run_rows("a", 2), run_rows("b", 1)], [["a 1", "a 2"], ["b 1"]], id="runs in use are not pooled"),
        pytest.param([run_rows("a", 1, explored=2)], [["a 1", "a 2", "a 3"]], id="an explored run is one run"),
        pytest.param([draw_rows(0), run_rows("a", 1)], [["0 1"], ["a 1"]], id="nor pooled with distilled draws"),
        pytest.param([draw_rows(0), draw_rows(1, reasoner="other")], [["0 1"], ["1 1"]], id="by Reasoner"),
        pytest.param([draw_rows(0), draw_rows(1, context="before")], [["0 1"], ["1 1"]], id="by context"),
        pytest.param([draw_rows(0), draw_rows(1, question="p")], [["0 1"], ["1 1"]], id="by question"),
    ],
)
def test_what_stands_together(runs, groups):
    assert [answers(question) for question in read(*runs).questions] == groups


@pytest.mark.parametrize(
    ("runs", "kept"),
    [
        pytest.param([draw_rows(0, 3), draw_rows(1, 2), draw_rows(2)], 3, id="draws of several turns"),
        pytest.param([draw_rows(draw) for draw in range(5)], 5, id="draws of one turn"),
        pytest.param([run_rows("a", 2, explored=3)], 1, id="a run in use"),
        pytest.param([[*run_rows("a", 2), *run_rows("a", 2, id="b", turn=2)]], 1, id="a forked run in use"),
    ],
)
def test_draws_are_shuffled_and_what_is_in_them_is_not(runs, kept):
    (question,) = read(*runs).questions
    own = [[row["answer"] for row in rows] for rows in runs]
    seen = set()
    for seed in range(30):
        for order in shuffled(question, random.Random(seed)):
            left, found = answers(order), []
            while left:
                draw = next(draw for draw in own if draw[0] == left[0])
                assert left[: len(draw)] == draw, "a draw was torn apart"
                found.append(tuple(draw))
                left = left[len(draw) :]
            assert len(found) == kept
            seen.add(tuple(found))
    assert len(seen) > 1 or kept == 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers())
def test_labels_go_with_their_attempts(lengths, seed):
    rows = [
        row
        for draw, turns in enumerate(lengths)
        for row in draw_rows(draw, turns, label="correct" if draw % 2 else "incorrect")
    ]
    (question,) = label_questions(rows, SignalDM()).questions
    for order in shuffled(question, random.Random(seed)):
        assert sorted(answers(order)) == sorted(answers(question))
        for answer, label in zip(answers(order), order.labels, strict=True):
            assert label == ("correct" if int(answer.split()[0]) % 2 else "incorrect")


def many(count, *arguments, **changes):
    """As many runs, each of a question of its own."""
    return [
        run_rows(f"{arguments[0]}{n}", *arguments[1:], question=f"{arguments[0]}{n}", **changes) for n in range(count)
    ]


@pytest.mark.parametrize(
    ("runs", "weights", "coverage"),
    [
        pytest.param(
            [*many(3, "cut", 1), *many(1, "x", 1, explored=3), *many(2, "doubt", 4, ended="reject")],
            [4.0, 1.0, 1.0],
            (1, 3, 0, 0, 0),
            id="the explored stands for the cut off, at its rate",
        ),
        pytest.param(
            [*many(3, "cut", 1), *many(2, "doubt", 4, ended="reject")],
            [1.0] * 5,
            (0, 3, 3, 0, 0),
            id="nobody explored: they count as they are, and it is told",
        ),
        pytest.param(
            [*many(7, "cut", 1), *many(1, "x", 1, explored=3)], [8.0], (1, 7, 0, 0, 0), id="scaled to what is there"
        ),
        pytest.param(
            [*many(10, "cut", 1), *many(1, "x", 1, explored=3, rate=0.5), *many(1, "y", 1, explored=3, rate=0.1)],
            [2.0, 10.0],
            (2, 10, 0, 0, 0),
            id="the less probable stands for more",
        ),
        pytest.param(
            [*many(1, "last", 4), *many(3, "cut", 3), *many(1, "x", 1, explored=3)],
            [1.0, 4.0],
            (1, 3, 0, 0, 0),
            id="accepted at its last turn: nothing was cut off",
        ),
        pytest.param(
            [*many(2, "x", 1, explored=3, rate=1.0), *many(1, "doubt", 4, ended="reject")],
            [1.0] * 3,
            (2, 0, 0, 0, 0),
            id="all explored",
        ),
        pytest.param(
            [*many(1, "cut", 1), *many(1, "x", 1, explored=3, reasoner="other")],
            [1.0, 1.0],
            (1, 1, 1, 0, 0),
            id="another Reasoner's stand for nobody here",
        ),
        pytest.param(
            [*many(1, "x", 1, explored=3, rate=None), *many(1, "doubt", 4, ended="reject")],
            [1.0, 1.0],
            (0, 1, 1, 0, 0),
            id="a tail whose chance nobody knows stands for nobody",
        ),
        *(
            pytest.param(
                [*many(1, "x", 1, explored=3, rate=rate), *many(1, "y", 1, explored=3)],
                [2.0],
                (1, 1, 0, 0, 0),
                id=f"nor does one of rate {rate}",
            )
            for rate in (0.0, -0.5, 1.5, float("nan"))
        ),
        pytest.param(
            [*many(1, "x", 1, explored=3, rate=5e-324), *many(1, "cut", 1)], [2.0], (1, 1, 0, 0, 0), id="the least rate"
        ),
        *(
            pytest.param(
                [*many(3, "cut", 1, ended=by), *many(1, "x", 1, ended=by, explored=3), *many(1, "last", 4, ended=by)],
                [4.0, 1.0],
                (1, 3, 0, 0, 0),
                id=f"a {by} cuts off, too",
            )
            for by in ("stop", "review")
        ),
        *(
            pytest.param(
                [*many(3, "cut", 1, ended=by), *many(1, "x", 1, explored=3)],
                [1.0] * 4,
                (1, 3, 3, 0, 0),
                id=f"an explored accept stands for no {by}",
            )
            for by in ("stop", "review")
        ),
        pytest.param(
            [
                *many(3, "cut", 1),
                *many(1, "x", 1, explored=3),
                *many(1, "shut", 1, ended="stop"),
                *many(2, "y", 2, ended="stop", explored=2),
                *many(2, "sent", 3, ended="review"),
                *many(2, "late", 4, ended="review"),
            ],
            [4.0, 1.5, 1.5, 1.0, 1.0, 1.0, 1.0],
            (3, 6, 2, 0, 0),
            id="each for those that ended as it did, and what ended last was not cut off",
        ),
        pytest.param(
            [run_rows("a", 1), run_rows("b", 1, explored=3), run_rows("c", 4, ended="reject"), *many(1, "cut", 1)],
            [5 / 3, 1 / 3],
            (1, 2, 0, 0, 0),
            id="a question counts once, its cut off runs too",
        ),
        pytest.param([draw_rows(0), draw_rows(1, verdict="accept")], [1.0], (0, 0, 0, 0, 0), id="distilled"),
        pytest.param(
            [draw_rows(0, origin="traced", propensity=None), *many(1, "cut", 1)],
            [1.0, 1.0],
            (0, 1, 1, 0, 0),
            id="traced",
        ),
        pytest.param([], [], (0, 0, 0, 0, 0), id="nothing"),
    ],
)
def test_what_counts_how_much(runs, weights, coverage):
    log = read(*runs)
    assert [question.weight for question in log.questions] == pytest.approx(weights)
    assert log.coverage == coverage


def test_what_counts_for_nothing_is_not_scored():
    dm = SignalDM()
    rows = [row for rows in [*many(3, "cut", 1), *many(1, "x", 1, explored=3)] for row in rows]
    label_questions(rows, dm)
    assert dm.asked == 4


@pytest.mark.parametrize(
    ("unjudged", "left_out"),
    [
        pytest.param(run_rows("u", 1, label=None), 1, id="an answer without a label"),
        pytest.param(run_rows("u", 1, labels=[{"value": "correct", "source": "agreement", "at": None}]), 1, id="weak"),
        pytest.param(
            run_rows("u", 1, labels=[{"value": "correct", "source": "judge:m", "at": None}]), 0, id="a judge's"
        ),
        pytest.param(run_rows("u", 1, label=None, answer=None), 0, id="no answer needs no label"),
        pytest.param([*draw_rows(0), *draw_rows(1, label=None)], 1, id="one of several draws"),
    ],
)
def test_answers_that_nobody_judged_are_left_out_and_counted(unjudged, left_out):
    log = read(run_rows("known", 1, question="known"), unjudged)
    assert log.coverage.left_out == left_out
    assert len(log.questions) == 2 - left_out


def test_those_alike_stand_for_what_nobody_judged():
    """Twice as many of two answers were logged as were judged, and none of three."""
    judged = [*many(2, "one", 1, ended="reject"), *many(2, "two", 2, ended="reject")]
    unjudged = [*many(2, "u", 2, ended="reject", label=None), *many(1, "v", 3, ended="reject", label=None)]
    log = read(*judged, *unjudged)
    assert [question.weight for question in log.questions] == [1.0, 1.0, 2.0, 2.0]
    assert log.coverage == (0, 0, 0, 3, 1)


def test_a_run_that_ended_otherwise_does_not_stand_for_what_nobody_judged():
    judged, unjudged = many(2, "one", 1, ended="stop"), many(2, "u", 1, label=None)
    assert read(*judged, *unjudged).coverage == (0, 4, 4, 2, 2)


def test_an_explored_run_that_is_left_out_stands_for_nobody():
    explored = run_rows("x", 1, explored=3)
    explored[-1] = {**explored[-1], "label": None}
    assert read(run_rows("cut", 1), explored).coverage == (1, 1, 0, 1, 1)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda: read(run_rows("u", 1, label=None)), id="rows"),
        pytest.param(
            lambda: require_judged(
                [question._replace(labels=[None]) for question in read(run_rows("u", 1)).questions], purpose="replay"
            ),
            id="questions",
        ),
    ],
)
def test_nothing_judged_is_an_error(call):
    with pytest.raises(DataError, match=r"expected .* label, got 1 with an answer that nobody judged; label more"):
        call()


def test_distilled_draws_count_and_are_shuffled_as_without_weights():
    """The figures of the version before weights."""
    questions = label_questions(make_behaviors(60, seed=3, signal=1.5), SignalDM()).questions
    assert {question.weight for question in questions} == {1.0}
    assert [answers(order) for order in shuffled(questions[0], random.Random(0))] == [
        ["three", "apples", "one", "one"],
        ["one", "three", "apples", "one"],
        ["one", "three", "one", "apples"],
        ["one", "one", "three", "apples"],
    ]


class Ending:
    """Ends the run at the answer `y`, in the way it is told to."""

    abstain_below = 0.0

    def __init__(self, outcome):
        self.outcome = outcome

    def decide(self, attempts):
        found = attempts[-1]["answer"] == "y"
        return Decision(self.outcome if found else "continue", len(attempts) - 1, 0.5)


@pytest.mark.parametrize("outcome", ["accept", "stop", "review"])
def test_what_a_graph_logs_is_told_apart(tmp_path, outcome):
    """A quarter each is ended at the first, second, or third and last turn, or never; half of the early explore."""
    asked, log = Counter(), RunLog(path=tmp_path / "runs.jsonl")

    def reply(messages):
        number = int(re.search(r"Question (\d+)", messages[-1].text)[1])
        asked[number] += 1
        return "Answer: y" if asked[number] == number % 4 + 1 else "Answer: n"

    reasoner, dm = FunctionChatModel(function=reply), TableDM({"y": 0.9, "n": 0.1})
    graph = create_drr_graph(reasoner, dm, policy=Ending(outcome), max_turns=3, explore=0.5, run_log=log)
    ended = []
    for number in range(80):
        run = graph.invoke({"messages": [("user", f"Question {number}?")]})["drr"]
        ended.append((first_ended(run["attempts"]), len(run["attempts"])))
    early = [(place, turns) for place, turns in ended if place in (0, 1)]
    explored = sum(turns == 3 for _, turns in early)
    rows = [
        {**row, "label": "correct", "label_source": "human"} for row in harvest([log.path], progress=False).behaviors
    ]
    questions, coverage = label_questions(rows, SignalDM())
    assert Counter(place for place, _ in ended) == dict.fromkeys((0, 1, 2, None), 20)
    assert coverage == (explored, len(early) - explored, 0, 0, 0)
    assert {len(question.attempts) for question in questions} == {3}
    assert sum(question.weight for question in questions) == pytest.approx(80)


@pytest.mark.parametrize(
    ("runs", "by_turn"),
    [
        pytest.param([draw_rows(0), draw_rows(1), draw_rows(2)], [[1.0] * 3], id="draws count one each"),
        pytest.param(
            [*many(3, "cut", 1), *many(1, "x", 1, explored=3)],
            [[1.0] * 4, [4.0], [4.0], [4.0]],
            id="what all runs show counts as it is, and what exploring shows stands for the cut off",
        ),
        pytest.param(
            [*many(1, "x", 1, explored=3, rate=0.1), *many(1, "y", 1, explored=3, rate=0.5), *many(10, "cut", 1)],
            [[1.0] * 12, [10.0, 2.0], [10.0, 2.0], [10.0, 2.0]],
            id="the less probable stands for more",
        ),
        pytest.param([*many(2, "cut", 2)], [[1.0] * 2, [1.0] * 2], id="nobody explored: they count as they are"),
        pytest.param(
            [*many(1, "x", 1, explored=1), *many(1, "u", 1, explored=1, rate=None)],
            [[1.0] * 2, [2.0, 0.0]],
            id="a tail whose chance nobody knows stands for nobody",
        ),
        pytest.param(
            [run_rows("a", 1, ended="reject"), run_rows("b", 1, ended="reject"), run_rows("c", 1, question="r")],
            [[1 / 2, 1 / 2, 1.0]],
            id="two runs of a question share it",
        ),
        pytest.param(
            [run_rows("a", 2, ended="reject", label=None), run_rows("b", 1, ended="reject", question="r")],
            [[1.0, 1.0], [1.0]],
            id="an attempt counts without the labels of its run",
        ),
    ],
)
def test_what_a_row_counts_by_itself(runs, by_turn):
    rows = [row for rows in runs for row in rows]
    weights = weigh_rows(rows)
    for turn, expected in enumerate(by_turn, 1):
        assert [weights[row["id"]] for row in rows if row["turn"] == turn] == pytest.approx(expected)


RATE, TURNS = 0.2, 5


def live_log(count, generator, *, history, began, judged):
    """Runs of a known process: all their turns, and those that a graph which explores would have logged.

    The DM in use then knew little, today's knows more. Questions differ in skill; with `history` the Reasoner gets
    worse by being told that it was wrong. Before `began`, a share of the runs, nobody explored. A share of the attempts
    that are logged is `judged`.
    """
    full, logged = [], []
    for number in range(count):
        skill = generator.choice([0.2, 0.5, 0.8])
        rights = [generator.random() < skill * (0.7**turn if history else 1.0) for turn in range(TURNS)]
        accepts = [generator.random() < (0.4 if right else 0.1) for right in rights]
        ended = accepts.index(True) + 1 if True in accepts else TURNS
        rows = run_rows(
            f"r{number}", ended, ended="accept" if True in accepts else "reject", explored=TURNS - ended, rate=RATE,
            question=f"q{number}",
        )  # fmt: skip
        for row, right in zip(rows, rights, strict=True):
            row["signals"] = {"score": 1 / (1 + math.exp(-generator.gauss(1.5 if right else -1.5, 1.0)))}
            row["label"] = "correct" if right else "incorrect"
        full += rows
        kept = rows if number >= began * count and generator.random() < RATE else rows[:ended]
        logged += [
            {**row, "label": row["label"] if judged == 1 or generator.random() < judged else None} for row in kept
        ]
    return full, logged


def as_if_never_accepted(rows):
    """The rows without what says why they end where they do."""
    return [{**row, "verdict": None, "origin": "live", "propensity": 1.0} for row in rows]


@pytest.mark.parametrize(
    ("policy", "history", "began", "judged"),
    [
        pytest.param(ThresholdPolicy(threshold=0.8), False, 0.0, 1.0, id="threshold, fresh draws"),
        pytest.param(ThresholdPolicy(threshold=0.8), True, 0.0, 1.0, id="threshold, history-fed"),
        pytest.param(BestScorePolicy(), True, 0.0, 1.0, id="best of all, history-fed"),
        pytest.param(ThresholdPolicy(threshold=0.8), False, 0.5, 1.0, id="threshold, explored later on"),
        pytest.param(ThresholdPolicy(threshold=0.8), False, 0.0, 0.9, id="threshold, judged in part"),
    ],
)
def test_the_weighted_replay_tells_the_truth_and_the_plain_one_does_not(policy, history, began, judged):
    """Over 40 logs of 200 runs: with weights the mean error is no more than chance, without it is far more."""

    def measure(rows):
        return replay(label_questions(rows, SignalDM()).questions, policy, max_turns=TURNS)

    generator, weighted, plain = random.Random(7), [], []
    for _ in range(40):
        full, logged = live_log(200, generator, history=history, began=began, judged=judged)
        truth = measure(as_if_never_accepted(full))
        for errors, rows in ((weighted, logged), (plain, as_if_never_accepted(logged))):
            errors.append([found - known for found, known in zip(measure(rows), truth, strict=True)])
    for honest, naive in zip(zip(*weighted, strict=True), zip(*plain, strict=True), strict=True):
        assert abs(fmean(honest)) < 3 * stdev(honest) / math.sqrt(len(honest))
        assert abs(fmean(naive)) > 10 * stdev(naive) / math.sqrt(len(naive))
        assert abs(fmean(naive)) > 5 * abs(fmean(honest))


@pytest.mark.parametrize("history", [False, True], ids=["fresh draws", "history-fed"])
@pytest.mark.parametrize("began", [0.0, 0.5], ids=["always explored", "explored later on"])
def test_the_weighted_rows_have_the_base_rate_of_runs_that_were_logged_to_their_end(history, began):
    """Over 20 logs: an accept hides what came later, so what is shown is not what a run to its end would have met."""

    def rate(rows, weights):
        right = math.fsum(weights[row["id"]] for row in rows if row["label"] == "correct")
        return right / math.fsum(weights[row["id"]] for row in rows)

    generator, weighted, plain = random.Random(8), [], []
    for _ in range(20):
        full, logged = live_log(200, generator, history=history, began=began, judged=1.0)
        truth = rate(full, {row["id"]: 1.0 for row in full})
        weighted.append(rate(logged, weigh_rows(logged)) - truth)
        plain.append(rate(logged, {row["id"]: 1.0 for row in logged}) - truth)
    assert abs(fmean(weighted)) < 3 * stdev(weighted) / math.sqrt(len(weighted))
    assert abs(fmean(plain)) > 5 * stdev(plain) / math.sqrt(len(plain))


def ending_log(count, generator, *, explore):
    """Runs of a policy that accepts what is sure and stops what is hopeless: all their turns, and those logged.

    Its DM tells questions apart better than attempts. The right answer is `right`.
    """
    full, logged = [], []
    for number in range(count):
        skill = generator.choice([0.35, 0.55, 0.85])
        rights = [generator.random() < skill for _ in range(TURNS)]
        scores = [generator.gauss(4 * (skill - 0.55) + (0.3 if right else -0.3), 1.0) for right in rights]
        verdicts = ["accept" if score > 1 else "stop" if score < -0.7 else "reject" for score in scores]
        ended = next((turn for turn, verdict in enumerate(verdicts, 1) if verdict != "reject"), TURNS)
        rows = run_rows(
            f"r{number}", ended, ended=verdicts[ended - 1], explored=TURNS - ended, rate=explore, question=f"q{number}"
        )
        for row, right in zip(rows, rights, strict=True):
            row["answer"] = "right" if right else f"wrong {generator.randint(1, 4)}"
            row["label"] = "correct" if right else "incorrect"
        full += rows
        logged += rows if generator.random() < explore else rows[:ended]
    return full, logged


def majority_of_five(rows):
    log = label_questions(rows, SignalDM())
    return replay(log.questions, MajorityPolicy(), max_turns=TURNS)[0], log.coverage


def test_what_was_stopped_is_stood_for_as_what_was_accepted():
    """Over 12 logs of 200 runs: the majority of five is told true with exploring, and far too low without."""
    generator, errors = random.Random(9), {0.0: [], 0.3: []}
    for _ in range(12):
        for explore, found in errors.items():
            full, logged = ending_log(200, generator, explore=explore)
            told, coverage = majority_of_five(logged)
            found.append(told - majority_of_five(as_if_never_accepted(full))[0])
            assert {row["verdict"] for row in logged} >= {"accept", "stop"}
            assert coverage.unexplored == (0 if explore else coverage.censored)
            assert coverage.censored > 100
    assert abs(fmean(errors[0.3])) < 3 * stdev(errors[0.3]) / math.sqrt(12)
    assert max(errors[0.0]) < -0.05
