"""What a harvest can be told: folders, known answers, the environment, what may be written, and how much memory."""

import gzip
import json
import shutil

import pytest
from fakes import make_attempt, make_run

from drr_agent.errors import ConfigError, DataError
from drr_agent.training.behaviors import SPLITS
from drr_agent.training.harvest import harvest, harvest_dataset
from drr_agent.training.redaction import Redaction

KEY = "sk-proj-abcdefghij0123456789"


@pytest.fixture
def write(tmp_path):
    def write_lines(*records, name="runs.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in records).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path

    return write_lines


def number_of(run):
    return run["run_id"]


def test_a_folder_of_rotated_logs(write, tmp_path):
    write(make_run("a"), name="logs/runs.jsonl")
    write(make_run("b"), name="logs/runs.jsonl.1")
    write(make_run("c"), name="logs/old/runs.jsonl.2.gz")
    write(make_attempt("4"), name="logs/runs.jsonl.open")
    write(make_run("hidden"), name="logs/.cache/runs.jsonl")
    (tmp_path / "logs" / "empty.jsonl").touch()
    result = harvest([tmp_path / "logs"])
    assert sorted(row["run_id"] for row in result.behaviors) == ["a", "b", "c"]
    assert [source.kind for source in result.sources] == ["runs"] * 3


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="found none; name a folder that holds some"):
        harvest([tmp_path])


def test_a_format_by_name(write):
    path = write({"question": "q", "answer": "4", "schema": 1, "run_id": "r", "attempts": 3})
    assert harvest([path]).dropped == {"unreadable": 1}, "by its fields it is a run log, and a bad one"
    assert len(harvest([path], format="table").behaviors) == 1
    with pytest.raises(ConfigError, match=r"one of .*runs.*, got .xml."):
        harvest([path], format="xml")


def test_a_setting_that_there_is_not(write):
    with pytest.raises(ConfigError, match=r"settings of a harvest \(grader, .*got \['granular'\]; check the spelling"):
        harvest([write(make_run("a"))], granular=True)


@pytest.mark.parametrize(
    ("targets", "label", "target"),
    [
        pytest.param([{"id": "s1", "question": "2 + 2?", "target": "4"}], "correct", "4", id="by-id"),
        pytest.param([{"question": "2 + 2 ?", "target": "5"}], "incorrect", "5", id="by-text"),
        pytest.param([{"id": "s2", "question": "3 + 3?", "target": "6"}], None, None, id="of-another"),
        pytest.param(
            [{"question": "2 + 2?", "target": "4"}, {"question": "2 + 2?", "target": "5"}], None, None, id="ambiguous"
        ),
    ],
)
def test_known_answers_are_joined(write, targets, label, target):
    log = write(make_run(sample_id="s1"))
    [row] = harvest([log], targets=write(*targets, name="targets.jsonl")).behaviors
    assert (row["label"], row["target"]) == (label, target)


def test_a_log_that_knows_its_target_keeps_it(write):
    targets = write({"question": "2 + 2?", "target": "5"}, name="targets.jsonl")
    table = write({"question": "2 + 2?", "answer": "4", "gold": "4"}, name="table.jsonl")
    rows = harvest([write(make_run(target="4")), table], targets=targets).behaviors
    assert [row["target"] for row in rows] == ["4", "4"]


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        pytest.param(True, [None, "correct"], id="of-the-chosen"),
        pytest.param(None, [None, None], id="unknown"),
        pytest.param({1: False, 2: True}, ["incorrect", "correct"], id="turn-by-turn"),
    ],
)
def test_the_environment_says(write, said, labels):
    def tests_passed(_run):
        return said

    log = write(make_run(attempts=[make_attempt("3", turn=1), make_attempt("4", turn=2)], choice=1))
    rows = harvest([log], environment=tests_passed).behaviors
    assert [row["label"] for row in rows] == labels
    assert {row["label_source"] for row in rows if row["label"]} <= {"environment:tests_passed"}


def test_the_word_that_counts_and_the_others(write):
    labels = [
        {"turn": None, "value": "incorrect", "source": "feedback:thumbs", "at": "2026-01-02T00:00:00.000+00:00"},
        {"turn": 1, "value": "correct", "source": "human:ann", "at": "2026-01-01T00:00:00.000+00:00"},
        {"turn": 7, "value": "incorrect", "source": "human:bob", "at": None},
    ]
    [row] = harvest([write(make_run(target="5", labels=labels))]).behaviors
    assert (row["label"], row["label_source"], row["labelled_at"]) == ("correct", "human:ann", labels[1]["at"])
    assert [label["source"] for label in row["labels"]] == ["feedback:thumbs", "grader:auto", "human:ann"]


def test_a_run_that_was_judged_later_gains_the_label(write):
    label = {"turn": None, "value": "correct", "source": "human:ann", "at": "2026-01-01T00:00:00.000+00:00"}
    result = harvest([write(make_run(), make_run(labels=[label]))])
    assert [row["label"] for row in result.behaviors] == ["correct"]
    assert result.dropped == {"duplicate": 1}


SECRETIVE = make_run(
    question=f"Why is {KEY} refused?",
    context=f"human: my key is {KEY}",
    attempts=[make_attempt(f"use {KEY}", rationale=f"the key {KEY}, mail ann@example.org"), make_attempt(error=KEY)],
    target=f"use {KEY}",
)


@pytest.mark.parametrize("capture", ["full", "digest"])
def test_no_secret_reaches_the_disk(write, tmp_path, capture):
    secretive = {"question": f"q {KEY}", "answer": KEY, "rationale": [KEY]}
    table = write(secretive, {**secretive, "rationale": KEY}, name="t.jsonl")
    redaction = Redaction(patterns=(r"\S+@\S+",), capture=capture)
    dataset, _ = harvest_dataset([write(SECRETIVE), table], tmp_path / "data", redaction=redaction)
    dataset.verify()
    for file in (tmp_path / "data").iterdir():
        assert KEY.encode() not in file.read_bytes(), file.name
    for row in dataset.iter_rows():
        assert KEY not in json.dumps(row)
        assert "ann@example.org" not in row["rationale"]
    [logged] = [row for row in dataset.iter_rows() if row["origin"] == "live"]
    assert logged["label"] == "correct", "what is equal is judged before it is hidden"


def test_a_digest_keeps_what_is_equal_equal(write, tmp_path):
    runs = [make_run(name, [make_attempt(answer)]) for name, answer in (("a", "Paris"), ("b", "paris."), ("c", "Rome"))]
    rows = harvest([write(*runs)], redaction=Redaction(capture="digest")).behaviors
    one, same, other = (row["answer"] for row in rows)
    assert one == same != other
    assert one.startswith("sha256:")


def test_a_dataset_keeps_its_redaction(write, tmp_path):
    log = write(make_run())
    harvest_dataset([log], tmp_path / "data")
    with pytest.raises(ConfigError, match="use the same, or name a new folder"):
        harvest_dataset([log], tmp_path / "data", redaction=Redaction(capture="digest"))


def test_the_order_of_the_sources_does_not_matter(write, tmp_path):
    logs = [
        write(make_run("a"), make_run("b", verdict=None), name="one.jsonl"),
        write(make_run("b", target="4"), make_run("c"), name="two.jsonl"),
        write({"question": "2 + 2?", "answer": "4", "gold": "4"}, name="three.jsonl"),
    ]
    forward, _ = harvest_dataset(logs, tmp_path / "forward")
    backward, _ = harvest_dataset(logs[::-1], tmp_path / "backward")
    for log in logs:
        alone, _ = harvest_dataset([log], tmp_path / "alone")
    for split in SPLITS:
        assert forward.rows(split) == backward.rows(split) == alone.rows(split)
    again, _ = harvest_dataset(logs, tmp_path / "forward")
    assert (again.added, again.digest) == (0, forward.digest)


def test_a_rotated_log_is_the_same_rows(write, tmp_path):
    log = write(make_run("a"), make_run("b"))
    harvest_dataset([log], tmp_path / "data")
    shutil.move(log, tmp_path / "runs.jsonl.1")
    dataset, records = harvest_dataset([tmp_path / "runs.jsonl.1", write(make_run("c"))], tmp_path / "data")
    assert dataset.added == 1
    assert [record.kept for record in records] == [2, 1]


def test_constants_stand_for_columns(write):
    path = write({"question": "q", "answer": "4"})
    [row] = harvest([path], mapping={"turn": "=2", "reasoner": "=gpt-4o", "feedback": "=hint"}).behaviors
    assert (row["turn"], row["reasoner"], row["feedback"]) == (2, "gpt-4o", "hint")


def test_a_parser_reads_the_answer_out_of_the_reply(write):
    path = write({"question": "q", "response": "Two and two.\nAnswer: 4", "gold": "4"})
    with pytest.raises(DataError, match="column for `answer`"):
        harvest([path])
    [row] = harvest([path], parser="answer").behaviors
    assert (row["rationale"], row["answer"], row["label"]) == ("Two and two.", "4", "correct")


def test_half_a_character_in_what_is_refused_is_no_trouble(write):
    path = write({"question": "q \ud83d", "answer": "4", "rationale": ["\ud83d"], "reasoner": "\ud83d"})
    assert harvest([path], format="table").dropped == {"bad value": 1}
