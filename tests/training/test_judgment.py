"""What stands between a classifier and the loop is learned on scores that nobody was trained on."""

import re

import pytest
from training.synthetic import make_behaviors

from drr_agent.dm import read_manifest
from drr_agent.dm.folder import load_dm
from drr_agent.dm.fusion import fit_fusion
from drr_agent.questions import question_key, unit_of
from drr_agent.stopping import StoppingPolicy
from drr_agent.training import fusing
from drr_agent.training.config import TrainConfig
from drr_agent.training.judgment import learn_judgment
from drr_agent.training.train import teaching_rows, train_dm

TRAIN, VALIDATION = make_behaviors(60, seed=1, signal=1.5), make_behaviors(30, seed=2, signal=1.5)


def config(**changes):
    return TrainConfig(**{"inputs": "signals", "progress": False, **changes})


class Classifier:
    """Reads the mark that tells right from wrong, and little else."""

    def __init__(self):
        self.asked = []

    def logits(self, requests):
        self.asked += requests
        return [len(r.rationale) / 100 + ("thus" in r.rationale) for r in requests]


@pytest.fixture
def watched(monkeypatch):
    """What each fusion was fitted to, and what it then read, as sets of evidence."""
    fits, reads = {}, []

    def fit(rows, *args, **kwargs):
        found = fit_fusion(rows, *args, **kwargs)
        fits[id(found)] = (found, {id(row) for row in rows})
        return found

    real = fusing.read_evidence

    def read(fusion, evidence):
        reads.append((id(fusion), [id(row) for row in evidence]))
        return real(fusion, evidence)

    monkeypatch.setattr(fusing, "fit_fusion", fit)
    monkeypatch.setattr(fusing, "read_evidence", read)
    return fits, reads


@pytest.mark.parametrize("inputs", ["signals", "both"])
def test_a_fusion_never_has_the_last_word_on_what_it_was_fitted_to(watched, inputs):
    fits, reads = watched
    classifier = None if inputs == "signals" else Classifier()
    learned = learn_judgment(TRAIN, TRAIN, VALIDATION, classifier, config(inputs=inputs))
    last = {row: fusion for fusion, rows in reads for row in rows}
    assert len(last) == len(VALIDATION) + (len(TRAIN) if classifier is None else 0)
    assert all(row not in fits[fusion][1] for row, fusion in last.items())
    final, *without = [fusion for fusion, _ in fits.values()]
    assert len(fits[id(final)][1]) == len(TRAIN), "signals learn from the training split, whoever reads the text"
    assert [term.name for term in learned.fusion.signals] == [term.name for term in final.signals]
    assert (learned.fusion == final) == (classifier is None)
    assert {fusion.regularization for fusion in without} == {final.regularization}


def test_what_is_left_out_is_the_question_with_all_its_rows(watched):
    """A copy, or a row that teaches nothing, is no fresh row where its question was learned from."""
    fits, reads = watched
    copies = [{**row, "id": f"{row['id']}-again", "draw": 9} for row in TRAIN[::4]]
    silent = [{**row, "id": f"{row['id']}-silent", "draw": 10, "label": None} for row in TRAIN[1::4]]
    rows = [*TRAIN, *copies, *silent]
    settings = config(copies="one")
    assert len(teaching_rows(rows, settings)) == len(TRAIN)
    learn_judgment(TRAIN, rows, VALIDATION, None, settings)
    everything = max(fits.values(), key=lambda fit: len(fit[1]))
    whole = next(rows for fusion, rows in reads if fusion == id(everything[0]))
    again = [row for _, rows in reads[1:] for row in rows]
    assert len(whole) == len(rows) + len(VALIDATION)
    assert len(again) == len(set(again)) == len(rows), "each row of a question is read anew, once"


def test_no_fusion_reads_what_is_nearly_the_same_as_what_it_was_fitted_to(watched):
    """Every question is there in two spellings, and each teaches."""
    fits, reads = watched
    again = [{**row, "id": f"{row['id']}-again", "question_key": question_key(f"{row['question']}!")} for row in TRAIN]
    learn_judgment([*TRAIN, *again], [*TRAIN, *again], VALIDATION, None, config())
    rows = {row: place for place, row in enumerate(reads[0][1])}
    spelled = [unit_of(row["question_key"]) for row in (*TRAIN, *again, *VALIDATION)]
    assert len(rows) == len(spelled)
    for fusion, read in reads[1:]:
        learned = {spelled[rows[row]] for row in fits[fusion][1]}
        assert read
        assert learned.isdisjoint(spelled[rows[row]] for row in read)


def test_calibration_is_of_runs_logged_to_their_end():
    """Accepted at once, three in four were cut off, and their later attempts are stood for."""
    shown = []
    for row in make_behaviors(80, seed=2, signal=1.5):
        number, turn = int(row["run_id"].split("-")[1]), row["draw"] + 1
        told = {"run_id": f"run {number}", "turn": turn, "draw": None, "origin": "live", "verdict": "accept"}
        told |= {"origin": "explored", "verdict": None, "propensity": 0.25} if turn > 1 else {}
        shown += [{**row, **told}] if turn == 1 or number % 4 == 0 else []
    learned = learn_judgment(TRAIN, TRAIN, shown, None, config())
    right = [(row["turn"] > 1, row["label"] == "correct") for row in shown]
    first, later = ([label for late, label in right if late == wanted] for wanted in (False, True))
    assert len(first) == 80
    assert len(later) == 60
    assert learned.metrics["base_rate"] == pytest.approx((sum(first) + 4 * sum(later)) / 320)


def test_text_alone_has_no_fusion(watched):
    fits, _ = watched
    learned = learn_judgment(TRAIN, TRAIN, VALIDATION, Classifier(), config(inputs="text"))
    assert learned.fusion is None
    assert not fits


def test_a_classifier_is_asked_about_validation_alone_and_once():
    classifier = Classifier()
    learn_judgment(TRAIN, TRAIN, VALIDATION, classifier, config(inputs="both"))
    assert len(classifier.asked) == len(VALIDATION)


def test_a_dm_of_signals_learns_when_to_stop(tmp_path):
    path = train_dm(TRAIN, VALIDATION, config=config(), out=tmp_path / "dm")
    manifest, dm = read_manifest(path), load_dm(path)
    assert manifest.no_stopping is None
    assert manifest.stopping.model.answers.needs_scores
    assert manifest.stopping.worth is None
    assert dm.stopping == StoppingPolicy(model=manifest.stopping.model)


def of_no_answer(question):
    """Two attempts at a question that gave none: nothing to judge, and a run that went nowhere."""
    rows = make_behaviors(1, attempts=2, seed=9, signal=1.5)
    told = {"question_key": question_key(question), "answer": None, "label": None, "label_source": None, "labels": []}
    return [{**row, **told, "id": f"{question}:{row['id']}", "run_id": f"{question}:{row['run_id']}"} for row in rows]


def test_what_only_stopping_learned_from_was_learned_from(tmp_path):
    silent, unjudged = of_no_answer("Who knows?"), make_behaviors(1, attempts=2, seed=8, signal=1.5)
    unjudged = [{**row, "label": None, "label_source": None, "labels": []} for row in unjudged]
    rows = [*TRAIN, *silent, *unjudged]
    dm = load_dm(train_dm(rows, VALIDATION, config=config(), out=tmp_path / "dm"))
    assert dm.stopping is not None
    assert dm.trained == {row["question_key"] for row in (*TRAIN, *VALIDATION, *silent)}


SINGLE, SINGLES = make_behaviors(90, attempts=1, seed=1, signal=1.5), make_behaviors(40, attempts=1, seed=2, signal=1.5)


@pytest.mark.parametrize(
    ("train", "validation", "reason"),
    [
        pytest.param(SINGLE, SINGLES, "several attempts, all judged, .*got 0", id="single attempts"),
        pytest.param(TRAIN[:80], VALIDATION[:80], "at least 50 questions .*got 40", id="too few questions"),
    ],
)
def test_a_log_that_cannot_teach_stopping_makes_a_dm_all_the_same(tmp_path, train, validation, reason):
    path = train_dm(train, validation, config=config(), out=tmp_path / "dm")
    manifest = read_manifest(path)
    assert manifest.stopping is None
    assert load_dm(path).stopping is None
    assert re.search(reason, manifest.no_stopping)
