"""drr dataset: what it shows, what it checks, what it writes, and what it says when it cannot."""

import json
import sys

import pytest
from training.synthetic import make_behavior

from drr_agent.cli import console, main
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.harvest import harvest_dataset

HOSTILE = "m \x1b[2J[red]x[/red] :smile: \u202etxt"


@pytest.fixture
def drr(monkeypatch, capsys):
    """Call `drr dataset`; its exit status, standard output and standard error."""

    def call(*arguments, width=200):
        monkeypatch.setattr(sys, "argv", ["drr", "dataset", *map(str, arguments)])
        monkeypatch.setattr(console.out, "width", width)
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def rows(start=0, end=24, **changes):
    return [
        make_behavior(
            f"What is {number // 3} + 1?",
            **{
                "id": f"r{number}",
                "run_id": f"r{number}",
                "rationale": f"rationale {number}",
                "turn": 1 + number % 2,
                "reasoner": "big" if number % 4 else "small",
                "label": ["correct", "incorrect", None][number % 3],
                **changes,
            },
        )
        for number in range(start, end)
    ]


@pytest.fixture
def data(tmp_path):
    return write_dataset(rows(), tmp_path / "data").path


def table_of(out, head):
    """The rows of the table whose head begins with a word."""
    lines = out.splitlines()
    place = next(n for n, line in enumerate(lines) if line.split()[:1] == [head])
    found = []
    for line in lines[place + 1 :]:
        if not line.strip():
            break
        found.append(line.split())
    return found


def test_show_counts(drr, data):
    code, out, err = drr("show", data)
    assert (code, err) == (0, "")
    splits = load_dataset(data).manifest.splits
    assert [row[0] for row in table_of(out, "split")] == list(splits)
    assert table_of(out, "turn") == [
        ["1", "8", "12", "4", "4", "4", "0.500"],
        ["2", "8", "12", "4", "4", "4", "0.500"],
    ]
    assert table_of(out, "Reasoner") == [
        ["big", "8", "18", "6", "6", "6", "0.500"],
        ["small", "6", "6", "2", "2", "2", "0.500"],
    ]
    assert table_of(out, "share") == [["big", "0.500", "0.500"], ["small", "0.500", "–"]]
    assert ["grader:exact", "16"] in table_of(out, "label")
    assert ["distilled", "24"] in table_of(out, "origin")
    assert "24 behaviors" in out
    assert "redacted: none; capture: full" in " ".join(out.split())
    assert "0 rows in conflict; 0 weak labels, 0.0% of all; 0 rows say what another says" in out


def test_show_says_what_was_left_out_and_why(drr, tmp_path):
    table = tmp_path / "t.jsonl"
    row = json.dumps({"question": "2 + 2?", "rationale": "r", "answer": "4", "gold": "4"})
    table.write_text("\n".join([row, "{", "{", '{"question": null}']))
    folder = harvest_dataset([table], tmp_path / "data", progress=False)[0].path
    code, out, _ = drr("show", folder, "--examples", 0)
    assert code == 0
    assert "1 no question, 2 unreadable" in " ".join(out.split())


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        pytest.param([], {"correct": 1, "incorrect": 1, "no label": 1}, id="one of each"),
        pytest.param(["--examples", 2], {"correct": 2, "incorrect": 2, "no label": 2}, id="two of each"),
        pytest.param(["--examples", 0], {"correct": 0, "incorrect": 0, "no label": 0}, id="none"),
        pytest.param(["--examples", 99], {"correct": 8, "incorrect": 8, "no label": 8}, id="all there are"),
    ],
)
def test_show_gives_examples(drr, data, options, shown):
    _, out, _ = drr("show", data, *options)
    heads = [line for line in out.splitlines() if "(distilled)" in line]
    assert {kind: sum(line.startswith(kind) for line in heads) for kind in shown} == shown
    assert out.count("  rationale: rationale") == sum(shown.values())


def test_show_gives_examples_of_one_split(drr, data):
    expected = {f"rationale {row['id'][1:]}" for row in load_dataset(data).iter_rows("validation")}
    _, out, _ = drr("show", data, "--examples", 99, "--split", "validation")
    assert {line.partition(": ")[2] for line in out.splitlines() if line.startswith("  rationale")} == expected != set()


def test_long_texts_are_cut_to_the_terminal(drr, tmp_path):
    long = "word \n" * 2_000_000
    folder = write_dataset(rows(0, 2, rationale=long, reasoner="r" * 300), tmp_path / "data").path
    _, out, _ = drr("show", folder, width=60)
    assert max(map(len, out.splitlines())) <= 60
    assert "  rationale: word word word word word word word word word w…" in out


def test_what_others_wrote_steers_no_terminal(drr, tmp_path):
    made = rows(0, 3, reasoner=HOSTILE, rationale=HOSTILE, answer=HOSTILE, dataset=HOSTILE)
    folder = write_dataset(made, tmp_path / "data").path
    _, out, _ = drr("show", folder)
    assert not {"\x1b", "\u202e"} & set(out)
    assert out.count("[red]x[/red] :smile:") >= 5, "in tables and in texts it is neither markup nor a picture"


def test_show_for_machines(drr, data):
    code, out, err = drr("show", data, "--json", "--examples", 1)
    shown = json.loads(out)
    assert (code, err) == (0, "")
    assert shown["digest"] == load_dataset(data).digest
    assert shown["by_reasoner"]["small"]["rows"] == 6
    assert shown["by_reasoner"]["big"]["turns"]["2"]["rows"] == 12
    assert [row["label"] for row in shown["examples"]] == ["correct", "incorrect", None]


def test_show_of_unlabelled_rows(drr, tmp_path):
    folder = write_dataset(rows(0, 6, label=None), tmp_path / "data").path
    code, out, _ = drr("show", folder)
    assert code == 0
    assert "0 rows in conflict; 0 weak labels; 0 rows say" in out


def test_verify_says_in_one_line_what_was_checked(drr, data):
    code, out, err = drr("verify", data)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert "files, questions, splits, labels, copies, counts, rejects and card of 24 behaviors are as" in out


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        pytest.param(lambda folder: next(folder.glob("train-*")).write_bytes(b""), "got other content", id="rows"),
        pytest.param(lambda folder: (folder / "README.md").write_text(""), "got no card", id="the card"),
        pytest.param(lambda folder: (folder / "manifest.json").unlink(), "no manifest.json in it", id="no dataset"),
    ],
)
def test_verify_names_what_is_wrong(drr, data, harm, message):
    harm(data)
    code, out, err = drr("verify", data)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_merge(drr, tmp_path):
    a, b = write_dataset(rows(0, 9), tmp_path / "a").path, write_dataset(rows(6, 15), tmp_path / "b").path
    code, out, _ = drr("merge", a, b, "--out", tmp_path / "c")
    assert code == 0
    assert f"15 behaviors → {tmp_path / 'c'}" in out
    load_dataset(tmp_path / "c").verify()
    code, out, _ = drr("merge", b, a, "--out", tmp_path / "d", "--json")
    assert (code, json.loads(out)["digest"]) == (0, load_dataset(tmp_path / "c").digest)


def test_filter(drr, data, tmp_path):
    part = tmp_path / "part"
    code, out, _ = drr("filter", data, "--out", part, "--where", "turn=1", "--where", "label!=", "--drop-copies")
    assert code == 0
    assert f"8 behaviors → {part}" in out
    [record] = load_dataset(part).manifest.sources
    assert (record.where, record.read, record.kept) == (("turn=1", "label!=", "drop copies"), 24, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["show", "none"], "expected a dataset folder at 'none'", id="show nothing"),
        pytest.param(["verify", "none"], "expected a dataset folder at 'none'", id="verify nothing"),
        pytest.param(["merge", "data", "none", "--out", "x"], "a dataset folder at 'none'", id="merge nothing"),
        pytest.param(["merge", "data", "--out", "data"], "expected another folder to write", id="merge into an input"),
        pytest.param(["merge", "data", "--out", "data/.."], "found other files", id="merge over other files"),
        pytest.param(["filter", "data", "--out", "x"], "expected filters such as turn=1", id="nothing to filter by"),
        pytest.param(["filter", "data", "--out", "x", "--where", "x=1"], "the fields are id, run_id", id="no field"),
        pytest.param(["filter", "data", "--out", "x", "--where", "x"], "expected a filter such as", id="no filter"),
        pytest.param(["filter", "data", "--out", "x", "--where", "turn=9"], "got none of 24", id="no rows"),
        pytest.param(["filter", "data", "--out", "data", "--where", "turn=1"], "another folder", id="over its input"),
    ],
)
def test_what_cannot_be_is_one_message(drr, data, monkeypatch, arguments, message):
    monkeypatch.chdir(data.parent)
    code, out, err = drr(*arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not (data.parent / "x").exists()


@pytest.mark.parametrize(
    "arguments", [["show"], ["merge", "--out", "x"], ["filter", "data"], ["show", "data", "--split", "dev"], ["split"]]
)
def test_what_is_no_command_is_exit_status_2(drr, arguments):
    assert drr(*arguments)[0] == 2


def test_help_names_the_verbs(drr):
    code, out, _ = drr("--help")
    assert code == 0
    for verb in ("show", "verify", "merge", "filter"):
        assert verb in out
