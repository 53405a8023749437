"""What of a log may be written into a dataset."""

import hashlib
import json

import pytest
from fakes import make_run
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.errors import ConfigError
from drr_agent.questions import question_key
from drr_agent.training.dataset import load_dataset
from drr_agent.training.harvest import harvest_dataset
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources import ATTEMPT_COLUMNS

KEY = "sk-proj-aB3dE5fG7hJ9kL1m"


def shout(text):
    return text.upper()


@pytest.mark.parametrize(
    ("settings", "text", "written"),
    [
        pytest.param({}, f"use {KEY}", "use [redacted]", id="secrets go"),
        pytest.param({"secrets": False}, f"use {KEY}", f"use {KEY}", id="unless told otherwise"),
        pytest.param({"patterns": (r"\b\d{3}-\d{4}\b",)}, "call 555-1234", "call [redacted]", id="a pattern"),
        pytest.param({"patterns": ("Ann", "Ben")}, "Ann and Ben", "[redacted] and [redacted]", id="two patterns"),
        pytest.param({"patterns": ("ann",)}, "Ann", "Ann", id="case counts"),
        pytest.param({"patterns": ("(?i)ann",)}, "Ann", "[redacted]", id="unless the pattern says so"),
        pytest.param({"function": shout}, "call me", "CALL ME", id="a function"),
        pytest.param({"patterns": ("me",), "function": shout}, "call me", "CALL [REDACTED]", id="which comes last"),
        pytest.param({"patterns": (r"\[redacted\]",)}, f"{KEY}", "[redacted]", id="after the secrets"),
        pytest.param({"capture": "digest"}, "", "", id="nothing stays nothing"),
        pytest.param({}, "é 🙂\n", "é 🙂\n", id="all else stays"),
    ],
)
def test_what_is_written(settings, text, written):
    assert Redaction(**settings).text(text) == written


def test_a_digest_tells_equal_texts_and_nothing_else():
    redaction = Redaction(capture="digest")
    digests = [redaction.text(text) for text in ("The answer is 4.", " the ANSWER is 4", "the answer is 5")]
    assert digests[0] == digests[1] != digests[2]
    assert all(len(digest) == len("sha256:") + 16 and digest.startswith("sha256:") for digest in digests)
    assert digests[2] == "sha256:" + hashlib.sha256(b"answer is 5").hexdigest()[:16]


def test_what_is_digested_is_clean_before():
    redaction = Redaction(capture="digest")
    assert redaction.text(f"use {KEY}") == redaction.text(f"use {KEY[:-1]}x"), "two secrets give no two digests"
    assert redaction.clean(f"use {KEY}") == "use [redacted]", "what is shown is clean, and not a digest"


def test_a_digest_of_half_a_character():
    assert Redaction(capture="digest").text("\ud800").startswith("sha256:")


@pytest.mark.parametrize("capture", ["full", "digest"])
def test_what_is_missing_stays_missing(capture):
    assert Redaction(capture=capture).optional(None) is None
    assert Redaction(capture=capture).optional("") == ""


NAMES = {
    "nothing": (Redaction(secrets=False), "none"),
    "secrets": (Redaction(), "secrets"),
    "a pattern": (Redaction(patterns=("x",)), "secrets, patterns "),
    "a function": (Redaction(secrets=False, function=shout), "function shout"),
    "all of it": (Redaction(patterns=("x",), function=shout, capture="digest"), "function shout"),
}


@pytest.mark.parametrize(("redaction", "says"), [pytest.param(*value, id=name) for name, value in NAMES.items()])
def test_its_name_says_what_is_done(redaction, says):
    assert says in redaction.name


def test_equal_settings_have_one_name_and_others_another():
    makers = [
        lambda: Redaction(),
        lambda: Redaction(secrets=False),
        lambda: Redaction(patterns=("x",)),
        lambda: Redaction(patterns=("y",)),
        lambda: Redaction(patterns=("x", "y")),
        lambda: Redaction(patterns=("y", "x")),
        lambda: Redaction(function=shout),
    ]
    names = [make().name for make in makers]
    assert names == [make().name for make in makers]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<x>a)(?P<x>b)", "\\"])
def test_a_pattern_that_is_none_is_refused(pattern):
    with pytest.raises(ConfigError, match="a pattern to redact must be a regular expression, got"):
        Redaction(patterns=("fine", pattern))


@given(st.text())
def test_writing_twice_is_writing_once(text):
    once = DEFAULT_REDACTION.text(text)
    assert DEFAULT_REDACTION.text(once) == once


TEXTS = (
    *("run_id", "started_at", "question", "context", "answer", "reasoner", "dm", "prompts", "sample_id", "target"),
    *("rationale", "signal", "label"),
)


@pytest.mark.parametrize("capture", ["full", "digest"])
@pytest.mark.parametrize("place", TEXTS)
def test_a_key_may_stand_anywhere_in_a_run(tmp_path, place, capture):
    run = make_run("r1", target="4", labels=[{"turn": 1, "value": "correct", "source": "human:ann", "at": None}])
    attempt, label = run["attempts"][0], run["labels"][0]
    if place == "rationale":
        attempt["rationale"] = KEY
    elif place == "signal":
        attempt["signals"] = {KEY: 0.5}
    elif place == "label":
        label["source"] = f"human:{KEY}"
    else:
        run[place] = f"before {KEY}"
    log = tmp_path / f"{KEY}.jsonl"
    log.write_text(json.dumps(run) + "\n{")
    dataset, _ = harvest_dataset([log], tmp_path / "data", redaction=Redaction(capture=capture), progress=False)
    dataset.verify()
    assert dataset.manifest.count == 1
    assert_hidden(dataset)


@pytest.mark.parametrize("capture", ["full", "digest"])
@pytest.mark.parametrize("role", sorted(ATTEMPT_COLUMNS))
def test_a_key_may_stand_anywhere_in_a_table(tmp_path, role, capture):
    table = tmp_path / "t.jsonl"
    row = {"question": "q", "rationale": "r", "answer": "4", "target": "4", "reasoner": "m"}
    table.write_text(json.dumps({**row, role: f"before {KEY}"}) + "\n" + json.dumps(row))
    dataset, _ = harvest_dataset([table], tmp_path / "data", redaction=Redaction(capture=capture), progress=False)
    dataset.verify()
    assert_hidden(dataset)


@pytest.mark.parametrize("role", ["question", "context", "rationale", "answer", "target", "prompts", "feedback"])
def test_a_digest_holds_no_text(tmp_path, role):
    table = tmp_path / "t.jsonl"
    row = {"question": "q", "rationale": "r", "answer": "4", "target": "4", "reasoner": "m"}
    table.write_text(json.dumps({**row, role: "John Doe of Elm Street"}))
    dataset, _ = harvest_dataset([table], tmp_path / "data", redaction=Redaction(capture="digest"), progress=False)
    assert_hidden(dataset, "Elm")


def assert_hidden(dataset, word=KEY):
    assert not any(word in str(value) for one in dataset.all() for value in one.values())
    assert all(word.encode() not in file.read_bytes() for file in dataset.path.iterdir() if file.suffix != ".parquet")


@pytest.mark.parametrize("capture", ["full", "digest"])
def test_a_dataset_holds_no_secret(tmp_path, capture):
    log = tmp_path / "t.jsonl"
    row = f'"question": "what does {KEY} do", "rationale": "{KEY} opens", "answer": "{KEY}", "gold": "{KEY}"'
    log.write_text("{" + row + "}\n{" + row.replace("opens", "shuts") + "}\n{" + f'"question": "{KEY} torn\n')
    redaction = Redaction(patterns=("opens",), capture=capture)
    dataset, _ = harvest_dataset([log], tmp_path / "data", redaction=redaction, progress=False)
    dataset.verify()
    written = [*dataset.all()]
    assert len(written) == 2
    assert_hidden(dataset)
    assert {one["label"] for one in written} == {"correct"}, "it is graded before"
    assert {one["question_key"] for one in written} == {question_key("what does [redacted] do")}, "however captured"
    assert load_dataset(dataset.path).manifest.capture == capture
