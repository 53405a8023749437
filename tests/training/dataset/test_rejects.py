"""Rejects, card and records of a dataset add up, and where they do not somebody hears of it."""

import json

import pytest
from training.synthetic import make_behavior

from drr_agent.errors import DataError
from drr_agent.training.dataset import load_dataset
from drr_agent.training.dataset.rejects import read_rejects
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.drops import Drop
from drr_agent.training.harvest import harvest_dataset

ROW = {"question": "2 + 2?", "rationale": "two and two", "answer": "4", "gold": "4", "model": "m"}


@pytest.fixture
def dataset(tmp_path):
    """Of two tables: one with two torn lines and one without a question, the other whole."""
    broken, whole = tmp_path / "broken.jsonl", tmp_path / "whole.jsonl"
    broken.write_text("\n".join([json.dumps(ROW), "{", "{", '{"question": null}']))
    whole.write_text(json.dumps({**ROW, "rationale": "two and three", "answer": "5"}))
    return harvest_dataset([broken, whole], tmp_path / "data", progress=False)[0]


def edit_lines(change):
    def edit(folder):
        path = folder / "rejects.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)))

    return edit


def append(text):
    def edit(folder):
        with (folder / "rejects.jsonl").open("a") as stream:
            stream.write(text)

    return edit


def edit_card(change):
    def edit(folder):
        path = folder / "README.md"
        path.write_text(change(path.read_text()))

    return edit


def first_line(**changes):
    return edit_lines(lambda lines: [{**lines[0], **changes}, *lines[1:]])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        pytest.param(edit_lines(lambda lines: lines[1:]), "expected 2 lines with reason 'unreadable'", id="one gone"),
        pytest.param(edit_lines(lambda lines: [*lines, lines[-1]]), "expected 1 lines .* got 2", id="one too many"),
        pytest.param(first_line(reason="empty run"), "expected 0 lines with reason 'empty run'", id="another reason"),
        pytest.param(first_line(harvest="0" * 12), "of harvest 000000000000", id="of another harvest"),
        pytest.param(first_line(sha256="0" * 12), "expected 0 lines .* got 1", id="of another file"),
        pytest.param(first_line(reason=["?"]), "expected 0 lines with reason", id="a reason that is none"),
        pytest.param(lambda folder: (folder / "rejects.jsonl").unlink(), "got 0", id="no rejects at all"),
        pytest.param(lambda folder: (folder / "README.md").unlink(), "got no card", id="no card"),
        pytest.param(edit_card(lambda text: text[: text.index("Digest")]), "got another card", id="another digest"),
        pytest.param(edit_card(lambda text: text.replace("train-", "train_")), "got another card", id="another file"),
        pytest.param(lambda folder: (folder / "README.md").write_bytes(b"\xff"), "got another card", id="no text"),
    ],
)
def test_what_does_not_add_up_is_named(dataset, harm, message):
    dataset.verify()
    harm(dataset.path)
    with pytest.raises(DataError, match=message):
        load_dataset(dataset.path).verify()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(append('{"harvest": "to'), id="a torn line"),
        pytest.param(append('{"harvest": "", "reason": "mine"}\n[]\n\n'), id="a line that no record counts"),
        pytest.param(edit_lines(lambda lines: lines[::-1]), id="another order"),
        pytest.param(edit_card(lambda text: text + "\nLicense: ours.\n"), id="a card that people wrote on"),
    ],
)
def test_what_harms_nothing_is_borne(dataset, change):
    change(dataset.path)
    load_dataset(dataset.path).verify()


def test_lines_are_of_the_record_that_counts_them(dataset):
    [broken] = [record for record in dataset.manifest.sources if record.dropped]
    assert broken.dropped == {"unreadable": 2, "no question": 1}
    for line in read_rejects(dataset.path / "rejects.jsonl"):
        assert (line["harvest"], line["sha256"]) == (broken.key, broken.sha256[:12])


def test_what_a_program_leaves_out_is_counted_by_nobody(tmp_path):
    dataset = write_dataset([make_behavior()], tmp_path / "data", drops=[Drop("mine", "row 7", "bad value", "x" * 999)])
    dataset.verify()
    [line] = read_rejects(dataset.path / "rejects.jsonl")
    assert (line["harvest"], line["source"], line["place"], len(line["detail"])) == ("", "mine", "row 7", 500)


def test_files_of_another_dataset_are_mended_by_the_next_harvest(tmp_path, dataset):
    table = tmp_path / "broken.jsonl"
    table.write_text(table.read_text() + "\n{")
    grown = harvest_dataset([table], tmp_path / "other", progress=False)[0]
    for name in ("rejects.jsonl", "README.md"):
        (dataset.path / name).write_bytes((grown.path / name).read_bytes())
    with pytest.raises(DataError, match="harvest the same sources again"):
        dataset.verify()
    harvest_dataset([table], dataset.path, progress=False)[0].verify()
