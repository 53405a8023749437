"""Runs become behaviors the same way, whatever store they come from."""

import pytest
from fakes import make_attempt, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from drr_agent.errors import DataError
from drr_agent.grading import AUTO
from drr_agent.questions import question_key
from drr_agent.signals import DEFAULT_SIGNALS
from drr_agent.state import Attempt, Run
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.drops import Flaw
from drr_agent.training.filters import parse_filters
from drr_agent.training.labels import Labeler
from drr_agent.training.labels.targets import KnownAnswer, Targets
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources.attempts import RunSource, attempt_ids
from drr_agent.training.sources.protocol import LoggedRun, LostEntry, Outcome

AT = "2026-01-01T00:00:00.000+00:00"
KEY = "sk-proj-aB3dE5fG7hJ9kL1m"


class Shelf:
    """A store of runs that are given to it."""

    location = "shelf"
    kind = "shelf"

    def __init__(self, *entries):
        self.given = entries

    def expected(self):
        return len(self.given)

    def entries(self):
        for place, entry in enumerate(self.given, start=1):
            yield LoggedRun(f"entry {place}", entry) if isinstance(entry, dict) else entry


def source(*entries, where=(), redaction=DEFAULT_REDACTION, **labeler):
    return RunSource(
        reader=Shelf(*entries),
        labeler=Labeler(grader=AUTO, **labeler),
        filters=parse_filters(where),
        redaction=redaction,
    )


def outcomes(*entries, **settings):
    return list(source(*entries, **settings).outcomes())


def behaviors(*entries, **settings):
    found = [outcome.content for outcome in outcomes(*entries, **settings)]
    assert all(isinstance(content, dict) for content in found), found
    return found


def run(*attempts, run_id="r1", **changes):
    """A run of these attempts, each given as its answer or in full, in their turns."""
    made = [attempt if isinstance(attempt, dict) else make_attempt(attempt) for attempt in attempts]
    return make_run(run_id, [{**attempt, "turn": turn} for turn, attempt in enumerate(made, start=1)], **changes)


def said(value, turn=None, source="human:ann", at=AT):
    return {"turn": turn, "value": value, "source": source, "at": at}


def test_a_behavior_is_its_attempt_and_its_run():
    attempt = make_attempt(
        "4", 0.9, turn=1, signals={"a": None, "b": 0.5}, logprobs=[-0.5], spans=[0], feedback="first"
    )
    given = make_run("r1", [attempt], target="4.0", draw=2, dm="d", context="human: hi", reasoner="m")
    [behavior] = behaviors(LoggedRun("entry 1", given, dataset="gsm8k"))
    assert behavior | {"signals": attempt["signals"]} == {
        "id": attempt_ids(given, DEFAULT_REDACTION)[0],
        "run_id": "r1",
        "question_key": question_key("2 + 2?"),
        "question": "2 + 2?",
        "context": "human: hi",
        "rationale": "because",
        "answer": "4",
        "target": "4.0",
        "label": "correct",
        "label_source": "grader:auto",
        "labelled_at": AT,
        "labels": [{"value": "correct", "source": "grader:auto", "at": AT}],
        "turn": 1,
        "draw": 2,
        "copies": 1,
        "feedback": "first",
        "truncated": False,
        "signals": {"a": None, "b": 0.5},
        "logprobs": [-0.5],
        "spans": [0],
        "input_tokens": 10,
        "output_tokens": 5,
        "reasoner": "m",
        "prompts": "p",
        "dm": "d",
        "score": 0.9,
        "verdict": None,
        "origin": "live",
        "propensity": 1.0,
        "dataset": "gsm8k",
        "started_at": AT,
    }


@pytest.mark.parametrize(
    ("changes", "redaction", "expected"),
    [
        pytest.param({}, DEFAULT_REDACTION, [0, None, 3], id="as logged"),
        pytest.param({"rationale": f"so {KEY}"}, DEFAULT_REDACTION, None, id="a secret has gone"),
        pytest.param({}, Redaction(capture="digest"), None, id="a hash of the text"),
        pytest.param({"spans": [0, None]}, DEFAULT_REDACTION, None, id="fewer than logprobs"),
        pytest.param({"spans": [0, None, 7]}, DEFAULT_REDACTION, None, id="beyond the rationale"),
        pytest.param({"spans": [0, None, -(2**63) - 1]}, DEFAULT_REDACTION, None, id="no place"),
        pytest.param({"logprobs": None}, DEFAULT_REDACTION, None, id="no logprobs"),
    ],
)
def test_spans_are_of_the_rationale_as_it_is_written(changes, redaction, expected):
    attempt = make_attempt("4", **{"rationale": "so it i", "logprobs": [-0.5] * 3, "spans": [0, None, 3], **changes})
    [behavior] = behaviors(run(attempt), redaction=redaction)
    assert behavior["spans"] == expected


def test_signals_that_an_older_log_lacks_are_computed_and_recorded_ones_stay():
    recorded = {"mine": 0.5, "logprob_mean": None, "log_length": 9.0}
    attempt = make_attempt("4", rationale="2 + 2 = 5", signals=recorded, logprobs=[-0.5])
    [behavior] = behaviors(make_run("r1", [attempt]))
    signals = behavior["signals"]
    assert signals.keys() == recorded.keys() | DEFAULT_SIGNALS.keys()
    assert recorded.items() <= signals.items()
    assert (signals["logprob_min"], signals["arithmetic_errors"], signals["token_entropy"]) == (-0.5, 1.0, None)


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        pytest.param({"started_at": ""}, "started_at", None, id="no time"),
        pytest.param({"started_at": "", "target": "4"}, "labelled_at", None, id="no time of a grade"),
        pytest.param({"prompts": ""}, "prompts", None, id="no prompts"),
        pytest.param({"origin": "traced"}, "origin", "traced", id="a trace"),
        pytest.param({"origin": "distilled"}, "origin", "distilled", id="a distillation"),
        pytest.param({"question": f"what is {KEY}"}, "question", "what is [redacted]", id="a secret"),
    ],
)
def test_what_a_run_says(changes, name, value):
    [behavior] = behaviors(run("4", **changes))
    assert behavior[name] == value


def test_tokens_that_nobody_counted_are_unknown():
    usage = {"calls": 2, "unmetered_calls": 1, "input_tokens": 10, "output_tokens": 5}
    [behavior] = behaviors(run(make_attempt("4", usage=usage)))
    assert (behavior["input_tokens"], behavior["output_tokens"]) == (None, None)


@pytest.mark.parametrize(
    ("verdicts", "explore", "expected"),
    [
        pytest.param(["reject", "accept"], 0.5, [("live", 1.0), ("live", 1.0)], id="nothing explored"),
        pytest.param(
            ["reject", "accept", None, None],
            0.25,
            [("live", 1.0), ("live", 1.0), ("explored", 0.25), ("explored", 0.25)],
            id="explored at a rate",
        ),
        pytest.param(["accept", None], 1.0, [("live", 1.0), ("explored", 1.0)], id="always"),
        pytest.param(["accept", None], None, [("live", 1.0), ("explored", None)], id="a rate that is not known"),
        pytest.param(["accept", None], 0.0, [("live", 1.0), ("explored", None)], id="nor this one"),
        pytest.param(["stop", None], 0.5, [("live", 1.0), ("explored", 0.5)], id="after a stop"),
        pytest.param(["review", None], 0.5, [("live", 1.0), ("explored", 0.5)], id="after a review"),
        pytest.param([None, None], 0.5, [("live", 1.0), ("live", 1.0)], id="never ended"),
    ],
)
def test_what_was_explored(verdicts, explore, expected):
    attempts = [make_attempt(str(place), verdict=verdict) for place, verdict in enumerate(verdicts)]
    rate = {} if explore is None else {"explore": explore}
    found = behaviors(run(*attempts, **rate))
    assert [(behavior["origin"], behavior["propensity"]) for behavior in found] == expected


def failed(verdict):
    """A call without a reply: it makes no row."""
    return make_attempt(None, error="TimeoutError: slow", verdict=verdict)


@pytest.mark.parametrize(
    ("verdicts", "changes", "expected"),
    [
        pytest.param(["reject", "stop"], {"stop_reason": "stopped"}, ["reject", "stop"], id="a stop"),
        pytest.param(["reject", "reject"], {"stop_reason": "stopped"}, ["reject", "stop"], id="an older stop"),
        pytest.param(["reject"], {"stop_reason": "no_progress"}, ["stop"], id="an older run in circles"),
        pytest.param(["reject"], {"stop_reason": "review"}, ["review"], id="an older review"),
        pytest.param(
            ["reject"], {"stop_reason": "review", "max_turns": 4}, ["reject"], id="a review that limits brought about"
        ),
        pytest.param(["reject"], {"stop_reason": "max_turns"}, ["reject"], id="the end of turns"),
        pytest.param(["accept", None], {"stop_reason": "accepted"}, ["accept", None], id="an accept"),
        pytest.param(["reject", None], {"stop_reason": "stopped"}, ["reject", None], id="a last one nobody judged"),
        pytest.param(["reject", failed("stop")], {"stop_reason": "stopped"}, ["stop"], id="a stop at a failed call"),
        pytest.param(["reject", failed("reject")], {"stop_reason": "stopped"}, ["stop"], id="an older one there"),
        pytest.param([failed("stop"), None], {"stop_reason": "stopped"}, [None], id="a stop with no row before it"),
        pytest.param(
            ["reject", failed("stop"), failed(None), None],
            {"stop_reason": "stopped"},
            ["stop", None],
            id="explored",
        ),
    ],
)
def test_how_the_policy_ended_a_run_travels(verdicts, changes, expected):
    attempts = [made if isinstance(made, dict) else make_attempt("4", verdict=made) for made in verdicts]
    found = [outcome.content for outcome in outcomes(run(*attempts, **changes))]
    assert [row["verdict"] for row in found if isinstance(row, dict)] == expected


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        pytest.param({"target": "4"}, [[], ["grader:auto incorrect"], ["grader:auto correct"]], id="the grader"),
        pytest.param({"target": None}, [[], [], []], id="no target"),
        pytest.param({"labels": [said("correct", 3)]}, [[], [], ["human:ann correct"]], id="of a turn"),
        pytest.param({"labels": [said("correct")], "choice": 1}, [[], ["human:ann correct"], []], id="of the choice"),
        pytest.param({"labels": [said("correct", 1)]}, [[], [], []], id="nobody judges what has no answer"),
        pytest.param({"labels": [said(None, 2)]}, [[], ["human:ann None"], []], id="asked, and nothing came"),
        pytest.param(
            {"labels": [said("correct", 2), said("incorrect", 2, at="2026-01-02")]},
            [[], ["human:ann incorrect"], []],
            id="a mind changed",
        ),
        pytest.param(
            {"labels": [said("correct", 2, "human:b"), said("incorrect", 2, "judge:x")], "target": "4"},
            [[], ["grader:auto incorrect", "human:b correct", "judge:x incorrect"], ["grader:auto correct"]],
            id="several",
        ),
    ],
)
def test_labels(given, labels):
    found = behaviors(run(None, "5", "4", **{"choice": 2, **given}))
    assert [[f"{label['source']} {label['value']}" for label in one["labels"]] for one in found] == labels


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        pytest.param(
            {"labels": [said("correct")], "choice": None}, "'human:ann' of the chosen attempt", id="no choice"
        ),
        pytest.param({"labels": [said("correct", 9)]}, "'human:ann' of turn 9, which is not there", id="no such turn"),
        pytest.param(
            {"labels": [said("correct", 2, "Agreement")]}, "'Agreement', which is no known source", id="whose"
        ),
    ],
)
def test_a_judgment_that_no_attempt_takes_is_named(given, detail):
    *found, lost = outcomes(run(None, "5", "4", **{"choice": 2, **given}))
    assert [one.content["labels"] for one in found] == [[], [], []]
    assert lost.place == found[0].place.removesuffix(" turn 1")
    assert lost.content.reason == "bad value"
    assert detail in lost.content.detail


@pytest.mark.parametrize(
    ("given", "at"),
    [
        pytest.param("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000+00:00", id="of another zone"),
        pytest.param("yesterday", None, id="no time"),
    ],
)
def test_the_time_of_a_label_is_a_time(given, at):
    [behavior] = behaviors(run("4", started_at=given, target="4", labels=[said("correct", 1, at=given)]))
    assert [label["at"] for label in behavior["labels"]] == [at, at]


@pytest.mark.parametrize("pattern", ["judge:*", "judge", "*", "j*:"])
def test_whom_nobody_heeds(pattern):
    [behavior] = behaviors(run("4", labels=[said("correct", 1, "judge")]), ignored=(pattern,))
    assert behavior["labels"] == []


def test_targets_and_the_environment_are_asked():
    targets = Targets(by_id={"s1": KnownAnswer("4", None)}, by_question={})
    [behavior] = behaviors(
        run("4", sample_id="s1", choice=0), targets=targets, environment=lambda given: given["answer"] != "4"
    )
    assert (behavior["target"], behavior["label"]) == ("4", "incorrect"), "the world's word counts more"
    assert [label["source"] for label in behavior["labels"]] == ["environment:<lambda>", "grader:auto"]


@pytest.mark.parametrize(
    ("entry", "place", "flaw"),
    [
        pytest.param(
            LostEntry("line 7", Flaw("unreadable", "torn")), "line 7", Flaw("unreadable", "torn"), id="lost before"
        ),
        pytest.param(run(stop_reason="error"), "entry 1", Flaw("empty run", "error"), id="no attempts"),
        pytest.param(
            run(make_attempt(None, error="TimeoutError: slow")),
            "entry 1 turn 1",
            Flaw("failed call", "TimeoutError: slow"),
            id="a failed call",
        ),
        pytest.param(run(make_attempt(None, error="")), "entry 1 turn 1", Flaw("failed call", ""), id="without a word"),
        pytest.param(run("4", question=" \n"), "entry 1 turn 1", Flaw("no question", ""), id="no question"),
    ],
)
def test_what_is_no_behavior_is_named(entry, place, flaw):
    assert outcomes(entry) == [Outcome(place, flaw)]


HALF = "half \ud83d"
WIDE = {"calls": 1, "unmetered_calls": 0, "input_tokens": 2**63, "output_tokens": 0}
UNSTORABLE = {
    **{
        f"a run's {name}": run("4", **{name: HALF}) for name in ("question", "context", "reasoner", "target", "prompts")
    },
    **{f"its {name}": run("4", **{name: HALF}) for name in ("dm", "run_id", "started_at", "sample_id", "policy")},
    "a rationale": run(make_attempt("4", rationale=HALF)),
    "an answer": run(make_attempt(HALF)),
    "a feedback": run(make_attempt("4", feedback=HALF)),
    "a signal's name": run(make_attempt("4", signals={HALF: 1.0})),
    "who labelled": run("4", labels=[said("correct", 1, f"human:{HALF}")]),
    "when": run("4", labels=[said("correct", 1, at=HALF)]),
    "an id": LoggedRun("entry 1", run("4"), ids=[HALF]),
    "a dataset": LoggedRun("entry 1", run("4"), dataset=HALF),
    "tokens": run(make_attempt("4", usage=WIDE)),
    "a draw": run("4", draw=2**63),
}


@pytest.mark.parametrize("bad", [pytest.param(entry, id=name) for name, entry in UNSTORABLE.items()])
def test_what_no_file_can_hold_costs_its_attempt_alone(bad, tmp_path):
    good = run("4", run_id="good")
    first, second = outcomes(bad, good)
    assert first.content.reason == "bad value"
    assert write_dataset([second.content], tmp_path / "data").manifest.count == 1


def test_ten_megabytes_pass(tmp_path):
    found = behaviors(run(make_attempt("4", rationale="é" * 10_000_000), context="x" * 10_000_000))
    dataset = write_dataset(found, tmp_path / "data")
    assert len(dataset.all()[0]["rationale"]) == 10_000_000


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        pytest.param(["reasoner=m1"], ["a:1", "a:2"], id="of a run"),
        pytest.param(["turn=2"], ["a:2"], id="of an attempt"),
        pytest.param(["answer=5"], ["a:2"], id="an attempt's answer, and not its run's"),
        pytest.param(["reasoner!=m1", "turn=1"], ["b:1"], id="both"),
        pytest.param(["target!="], ["b:1"], id="missing or not"),
    ],
)
def test_filters(where, kept):
    given = [run("4", "5", run_id="a", reasoner="m1"), run("4", run_id="b", reasoner="m2", target="4")]
    found = outcomes(*given, where=where)
    assert len(found) == 3, "what is filtered out is counted"
    assert [one.content["id"].rpartition(":")[0] for one in found if one.content is not None] == kept


def test_a_filter_on_no_field_is_refused():
    with pytest.raises(DataError, match=r"expected a filter on a field of a logged run or attempt in 'shelf', got 'x'"):
        source(where=["x=1"])
    for name in {*Run.__annotations__, *Attempt.__annotations__}:
        source(where=[f"{name}=1"])


def test_each_call_reads_anew():
    store = source(run("4"))
    assert list(store.outcomes()) == list(store.outcomes())
    assert (store.location, store.kind, store.mapping, store.expected()) == ("shelf", "shelf", {}, 1)


def ids_of(*answers, run_id="r1", redaction=DEFAULT_REDACTION):
    return attempt_ids(run(*answers, run_id=run_id), redaction)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        pytest.param(["1", "2"], ["1", "2"], 2, id="the same"),
        pytest.param(["1", "2"], ["1", "2", "3"], 2, id="one that went on"),
        pytest.param(["1", "2", "3"], ["1", "9", "3"], 1, id="a fork"),
        pytest.param(["1"], ["2"], 0, id="a fork at once"),
        pytest.param(["1", "2"], ["2", "1"], 0, id="another order"),
        pytest.param([None], [""], 0, id="no answer is not an empty one"),
        pytest.param(["1", "23"], ["12", "3"], 0, id="texts do not run together"),
    ],
)
def test_branches_share_what_they_have_in_common(one, other, shared):
    left, right = ids_of(*one), ids_of(*other)
    assert [a == b for a, b in zip(left, right, strict=False)] == [
        place < shared for place in range(min(len(left), len(right)))
    ]
    assert len({*left, *right}) == len(left) + len(right) - shared


def test_ids_name_run_and_turn():
    assert [row_id.rpartition(":")[0] for row_id in ids_of("1", "2", run_id="a:b")] == ["a:b:1", "a:b:2"]
    assert not {*ids_of("1")} & {*ids_of("1", run_id="r2")}


def test_ids_tell_nothing_that_may_not_be_written():
    one, two = (run(make_attempt("4", rationale=f"{KEY[:-1]}{end}")) for end in "xy")
    assert attempt_ids(one, DEFAULT_REDACTION) == attempt_ids(two, DEFAULT_REDACTION)
    assert attempt_ids(one, Redaction(secrets=False)) != attempt_ids(two, Redaction(secrets=False))


def test_what_else_is_learnt_of_an_attempt_leaves_its_id():
    later = run(make_attempt("4", 0.9, verdict="accept", logit=1.0, signals={"a": 1.0}, seconds=9.0), target="4")
    assert attempt_ids(later, DEFAULT_REDACTION) == ids_of("4")


said_texts = st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from([None, "", "1"])), max_size=5)


@settings(max_examples=200)
@given(said_texts, said_texts)
def test_ids_are_equal_as_far_as_runs_are(one, other):
    def ids(told):
        return attempt_ids(run(*(make_attempt(answer, rationale=text) for text, answer in told)), DEFAULT_REDACTION)

    left, right = ids(one), ids(other)
    common = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    assert left[:common] == right[:common]
    assert not {*left[common:]} & {*right}
    assert not {*right[common:]} & {*left}
    assert len({*left}) == len(left)
