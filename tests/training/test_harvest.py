"""Harvest: every logged attempt once, and a name for every one that is left out."""

import csv
import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import make_attempt, make_run
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import ConfigError, DataError
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.harvest import harvest, harvest_dataset

ROW = {
    "question": "2 + 2?",
    "rationale": "two and two",
    "answer": "4",
    "gold": "4",
    "is_correct": True,
    "model": "gemma",
    "sample_index": 0,
}


UNMETERED = {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}


def row(**changes):
    return {**ROW, **changes}


def run(run_id="r1", attempts=None, **changes):
    distilled = {"reasoner": "pocket", "origin": "distilled", "sample_id": "s", "target": "4", "draw": 0}
    return make_run(run_id, [make_attempt("4")] if attempts is None else attempts, **{**distilled, **changes})


@pytest.fixture
def write(tmp_path):
    def write_lines(*records, name="t.jsonl"):
        path = tmp_path / name
        text = "".join(record if isinstance(record, str) else json.dumps(record) + "\n" for record in records).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write_lines


def drops(result):
    return [(drop.place, drop.reason) for drop in result.drops]


def test_an_imported_row_becomes_a_behavior(write):
    [behavior] = harvest([write(row(logprobs=[-0.5, -1.5], truncated=False, dataset="toy"))]).behaviors
    expected = {
        "question": "2 + 2?",
        "rationale": "two and two",
        "answer": "4",
        "target": "4",
        "label": "correct",
        "label_source": "column:is_correct",
        "turn": 1,
        "draw": 0,
        "truncated": False,
        "logprobs": [-0.5, -1.5],
        "reasoner": "gemma",
        "origin": "imported",
        "dataset": "toy",
        "input_tokens": None,
    }
    assert behavior | expected == behavior
    assert behavior["signals"]["logprob_mean"] == -1.0
    assert behavior["signals"]["truncated"] == 0.0


def test_a_logged_attempt_becomes_a_behavior(write):
    attempts = [
        make_attempt("5", signals={"x": 0.25, "y": None}, turn=1, logprobs=[-1.0]),
        make_attempt("4", turn=2, feedback="history", usage=UNMETERED),
    ]
    result = harvest([write(run(attempts=attempts), name="runs.jsonl.gz")])
    first, second = result.behaviors
    assert [row_id.rpartition(":")[0] for row_id in (first["id"], second["id"])] == ["r1:1", "r1:2"]
    assert [first["label"], second["label"]] == ["incorrect", "correct"]
    assert first["label_source"] == "grader:auto"
    assert {"x": 0.25, "y": None, "logprob_mean": -1.0}.items() <= first["signals"].items()
    assert (first["input_tokens"], second["input_tokens"]) == (10, None)
    assert (second["feedback"], second["origin"], second["prompts"]) == ("history", "distilled", "p")
    assert result.sources[0].kind == "runs"


@pytest.mark.parametrize(
    "name", [pytest.param(f"t.{kind}", id=kind) for kind in ("jsonl", "jsonl.gz", "csv", "parquet")]
)
def test_every_format_gives_the_same_behaviors(write, tmp_path, name):
    rows = [row(), row(sample_index=1, answer="5", is_correct=False)]
    reference = harvest([write(*rows, name="reference.jsonl")]).behaviors
    path = tmp_path / name
    if name.endswith("csv"):
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(ROW))
            writer.writeheader()
            writer.writerows(rows)
    elif name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        write(*rows, name=name)
    assert harvest([path]).behaviors == reference


@pytest.mark.parametrize(
    ("word", "label"),
    [
        *[pytest.param(word, "correct", id=str(word)) for word in (True, 1, 1.0, "Yes", "correct", " true")],
        *[pytest.param(word, "incorrect", id=str(word)) for word in (False, 0, 0.0, "no", "Incorrect", "0")],
    ],
)
def test_a_label_column_is_believed(write, word, label):
    [behavior] = harvest([write(row(is_correct=word, gold="neither"))]).behaviors
    assert (behavior["label"], behavior["label_source"]) == (label, "column:is_correct")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"is_correct": "perhaps", "gold": None}, "label not understood", id="perhaps"),
        pytest.param({"is_correct": None, "gold": None}, "label not understood", id="missing-label"),
        pytest.param({"is_correct": 0.5, "gold": None}, "label not understood", id="half"),
        pytest.param({"answer": None, "is_correct": False}, "no answer", id="no-answer-is-not-wrong"),
        pytest.param({"answer": "  "}, "no answer", id="blank-answer"),
    ],
)
def test_a_label_column_that_says_nothing_gives_no_label(write, changes, why):
    result = harvest([write(row(**changes))])
    assert [(b["label"], b["label_source"]) for b in result.behaviors] == [(None, None)]
    assert result.sources[0].unlabeled == {why: 1}


@pytest.mark.parametrize(
    ("changes", "label", "conflicts"),
    [
        pytest.param({"is_correct": None}, ("correct", "grader:auto"), 0, id="the grader fills a gap"),
        pytest.param({"is_correct": False}, ("incorrect", "column:is_correct"), 1, id="the column counts"),
        pytest.param({"is_correct": True}, ("correct", "column:is_correct"), 0, id="they agree"),
    ],
)
def test_a_label_column_and_a_target_are_two_sources(write, tmp_path, changes, label, conflicts):
    dataset, _ = harvest_dataset([write(row(**changes))], tmp_path / "data", progress=False)
    [behavior] = dataset.iter_rows()
    assert (behavior["label"], behavior["label_source"]) == label
    assert dataset.manifest.conflicts == conflicts


@pytest.mark.parametrize(
    ("changes", "grader", "label", "why"),
    [
        pytest.param({"answer": "4.0"}, "auto", "correct", None, id="same-number"),
        pytest.param({"answer": "4.0"}, "exact", "incorrect", None, id="other-text"),
        pytest.param({"gold": None}, "auto", None, "no target", id="no-target"),
        pytest.param({"answer": None}, "auto", None, "no answer", id="no-answer"),
    ],
)
def test_without_a_label_column_the_grader_decides(write, changes, grader, label, why):
    result = harvest([write(row(**changes))], mapping={"label": ""}, grader=grader)
    assert result.behaviors[0]["label"] == label
    assert result.behaviors[0]["label_source"] == (f"grader:{grader}" if label else None)
    assert result.sources[0].unlabeled == ({why: 1} if why else {})


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        pytest.param(["model=gemma"], [0, 1], id="equal"),
        pytest.param(["model!=gemma"], [2, 3], id="unequal"),
        pytest.param(["model=gemma", "tokens > 9"], [1], id="all-must-hold"),
        pytest.param(["tokens>=9"], [0, 1], id="numbers-as-numbers"),
        pytest.param(["tokens<9"], [2], id="missing-is-neither-less"),
        pytest.param(["tokens="], [3], id="missing"),
        pytest.param(["tokens!="], [0, 1, 2], id="not-missing"),
        pytest.param(["is_correct=TRUE"], [0], id="truth"),
        pytest.param(["model=a=b"], [2], id="value-with-a-sign"),
    ],
)
def test_filters_choose_rows(write, where, kept):
    rows = [
        row(sample_index=0, tokens=9),
        row(sample_index=1, tokens=10, is_correct=False),
        row(sample_index=2, tokens=2, model="a=b", is_correct=False),
        row(sample_index=3, tokens=None, model="b", is_correct=False),
    ]
    result = harvest([write(*rows)], where=where)
    assert [behavior["draw"] for behavior in result.behaviors] == kept
    assert result.sources[0].filtered == 4 - len(kept)
    assert result.drops == []


def test_filters_see_the_run_and_the_attempt(write):
    runs = write(run("r1", [make_attempt("4", turn=1), make_attempt("5", turn=2)]), run("r2", reasoner="other"))
    result = harvest([runs], where=["reasoner=pocket", "turn>1"])
    assert [behavior["turn"] for behavior in result.behaviors] == [2]
    assert result.sources[0].filtered == 2


def test_everything_left_out_is_named(write):
    table = write(
        row(), '{"torn\n', row(question=" "), row(rationale=["a"]), row(), row(sample_index="x"), name="t.jsonl"
    )
    log = write(
        run("r1", [make_attempt(None, error="TimeoutError: slow"), make_attempt("4", turn=2)]),
        run("r2", []),
        run("r3", question=" "),
        run("r4", [make_attempt("4", rationale="half \ud83d")]),
        run("r5"),
        run("r5"),
        '{"schema": 1, "run_id"',
        name="runs.jsonl",
    )
    result = harvest([table, log])
    assert drops(result) == [
        ("line 2", "unreadable"),
        ("line 3", "no question"),
        ("line 4", "bad value"),
        ("line 5", "duplicate"),
        ("line 6", "bad value"),
        ("run r1 turn 1", "failed call"),
        ("run r2", "empty run"),
        ("run r3 turn 1", "no question"),
        ("run r5 turn 1", "duplicate"),
        ("line 7", "unreadable"),
    ]
    assert [(s.read, s.kept, sum(s.dropped.values())) for s in result.sources] == [(6, 1, 5), (8, 3, 5)]
    assert result.dropped == dict(Counter(drop.reason for drop in result.drops))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"turn": "1e30"}, id="turn"),
        pytest.param({"input_tokens": 10**25}, id="tokens"),
        pytest.param({"logprobs": [10**400]}, id="logprobs"),
        pytest.param({"logprobs": json.loads("[" * 800 + "]" * 800)}, id="nested-logprobs"),
    ],
)
def test_a_cell_that_no_column_can_hold_costs_its_row(write, tmp_path, changes):
    result = harvest([write(row(sample_index=1, turn=1, input_tokens=1, logprobs=None), row(**changes))])
    write_dataset(result.behaviors, tmp_path / "data")
    assert drops(result) == [("line 2", "bad value")]
    assert [behavior["draw"] for behavior in result.behaviors] == [1]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        pytest.param([row(), row()], 1, id="one-draw-twice"),
        pytest.param([row(sample_index=0), row(sample_index=1)], 2, id="two-draws-of-equal-text"),
        pytest.param([row(sample_index=None), row(sample_index=None)], 2, id="equal-text-without-draw-numbers"),
        pytest.param([row(model="a"), row(model="b")], 2, id="two-reasoners"),
        pytest.param([row(config="a"), row(config="b")], 2, id="two-prompts"),
        pytest.param([row(question_id="a"), row(question_id="b")], 2, id="one-question-in-two-samples"),
        pytest.param([row(turn=1), row(turn=2)], 2, id="two-turns"),
        pytest.param([row(), row(rationale="other")], 2, id="one-number-for-two-texts"),
        pytest.param([row(is_correct=True), row(is_correct=False)], 1, id="labels-do-not-make-draws"),
    ],
)
def test_what_makes_two_rows_the_same_attempt(write, rows, kept):
    path = write(*rows)
    behaviors = harvest([path]).behaviors
    assert len(behaviors) == kept
    copy = write(*rows, name="copy.jsonl")
    assert harvest([path, copy]).behaviors == behaviors


def test_a_grown_file_keeps_its_ids(write):
    rows = [row(sample_index=None), row(sample_index=None), row(sample_index=None, question="3 + 3?")]
    before = [b["id"] for b in harvest([write(*rows)]).behaviors]
    after = [b["id"] for b in harvest([write(*rows, row(sample_index=None))]).behaviors]
    assert after[:3] == before
    assert len(set(after)) == 4


def test_turns_of_one_run_share_its_id(write):
    behaviors = harvest([write(row(turn=1), row(turn=2), row(turn=1, sample_index=1))]).behaviors
    assert len({b["id"] for b in behaviors}) == 3
    assert behaviors[0]["run_id"] == behaviors[1]["run_id"] != behaviors[2]["run_id"]


def test_a_source_named_twice_is_read_once(write):
    path = write(row())
    assert len(harvest([path, path]).sources) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        pytest.param({"where": ["model"]}, ConfigError, "got 'model'", id="filter-without-sign"),
        pytest.param({"where": ["modle=gemma"]}, DataError, "got 'modle'", id="filter-on-no-column"),
        pytest.param({"mapping": {"gold": "x"}}, ConfigError, "got 'gold'", id="no-such-role"),
        pytest.param({"mapping": {"target": "gld"}}, DataError, "column 'gld'", id="no-such-column"),
        pytest.param({"mapping": {"answer": ""}}, DataError, "column for `answer`", id="needed-column"),
        pytest.param({"grader": "vibes"}, ConfigError, "got 'vibes'", id="no-such-grader"),
    ],
)
def test_what_cannot_work_is_refused(write, arguments, error, message):
    with pytest.raises(error, match=message):
        harvest([write(row())], **arguments)


def test_a_log_refuses_a_filter_on_no_field(write):
    with pytest.raises(DataError, match="got 'model'"):
        harvest([write(run())], where=["model=pocket"])


@pytest.mark.parametrize("sources", [pytest.param([], id="none"), pytest.param(["absent.jsonl"], id="absent")])
def test_nothing_to_harvest_is_refused(tmp_path, sources):
    with pytest.raises(DataError, match="expected"):
        harvest([tmp_path / name for name in sources])


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)
rows = st.fixed_dictionaries(dict.fromkeys(("question", "answer", "is_correct", "sample_index", "logprobs"), values))
broken = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)


@given(st.lists(rows.map(json.dumps) | broken, max_size=12))
def test_any_file_adds_up(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("harvest") / "t.jsonl"
    path.write_text("\n".join([json.dumps(row(logprobs=None)), *found]) + "\n", newline="")
    result = harvest([path])
    assert len(result.behaviors) + len(result.drops) == 1 + sum(bool(line.encode().strip()) for line in found)
    assert len({behavior["id"] for behavior in result.behaviors}) == len(result.behaviors)


LIES = [
    *({"question": value} for value in (1, None)),
    *({"usage": value} for value in (None, [1], {"calls": "one"})),
    *({"attempts": value} for value in (None, [1], [{}], {})),
    *({"schema": value} for value in (True, 1.0, "1", None)),
    *({"turn": value} for value in ("one", 10**30, None)),
    *({"draw": value} for value in ("x", 10**40)),
    *({"signals": value} for value in ([], None, {"a": "x"})),
    *({"answer": value} for value in (4, ["4"], {})),
    *({"logprobs": value} for value in ("abc", [[1]], [float("nan")], [float("-inf")])),
    *({name: 3} for name in ("run_id", "reasoner", "started_at", "target", "rationale", "feedback", "prompts")),
    *({name: None} for name in ("run_id", "reasoner", "context", "origin")),
    {"truncated": "yes"},
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: str(lie)[:40])
def test_a_line_that_lies_is_left_out_and_named(write, lie):
    attempt = make_attempt("4")
    inner = {name: value for name, value in lie.items() if name in attempt and name != "usage"}
    outer = {name: value for name, value in lie.items() if name not in attempt or name == "usage"}
    result = harvest([write(run("good"), {**run("bad", [{**attempt, **inner}]), **outer}, name="runs.jsonl")])
    assert [behavior["run_id"] for behavior in result.behaviors] == ["good"]
    assert [reason for _, reason in drops(result)] == ["unreadable"]
