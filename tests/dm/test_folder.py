import json
import math
import subprocess
import sys

import pytest
import torch
from dm.tiny_models import tiny_classifier

from drr_agent.dm import DiscriminativeModel, load_dm, read_manifest, save_dm, set_consensus
from drr_agent.dm.calibration import SigmoidCalibration
from drr_agent.dm.classifier import TextClassifier
from drr_agent.dm.folder import MANIFEST, update_manifest
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.learned import QUESTIONS, add_questions, calibrated_lines, read_questions
from drr_agent.dm.manifest import ConsensusRecord, DMManifest, TextRecord
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.protocol import ScoreRequest
from drr_agent.dm.terms import Term
from drr_agent.encoding import TEMPLATE_DIGEST
from drr_agent.errors import DMError
from drr_agent.signals import DEFAULT_SIGNALS

REQUESTS = [
    ScoreRequest("how many", "one and one", "two", signals={"confidence": 0.5}),
    ScoreRequest("how many", "two", "one", signals={"confidence": None}),
]


def make_manifest(inputs="both", **changes):
    text = Term(name="logit", unit=1.0, center=0.0, scale=1.0, weight=1.0)
    signal = Term(name="confidence", unit=1.0, center=0.0, scale=1.0, weight=2.0, missing=-1.0)
    fusion = Fusion(text=text if inputs == "both" else None, signals=(signal,), intercept=0.1, regularization=1.0)
    values = {
        "inputs": inputs,
        "text": None
        if inputs == "signals"
        else TextRecord(template_digest=TEMPLATE_DIGEST, max_length=32, backbone="tiny"),
        "fusion": None if inputs == "text" else fusion,
        "calibration": SigmoidCalibration(kind="platt", slope=0.5, intercept=-0.2),
        "calibrated_on": "validation",
    }
    return DMManifest(**{**values, **changes})


def make_classifier(*, encoder=False):
    model, tokenizer = tiny_classifier(["how many one and two"], encoder=encoder)
    return TextClassifier(model, tokenizer, max_length=32, device="cpu")


def save(path, inputs="both", *, encoder=False, **changes):
    classifier = None if inputs == "signals" else make_classifier(encoder=encoder)
    save_dm(path, make_manifest(inputs, **changes), classifier=classifier)
    return path


@pytest.mark.parametrize("encoder", [True, False], ids=["encoder", "decoder"])
@pytest.mark.parametrize("inputs", ["text", "both"])
def test_a_saved_dm_scores_as_it_did(tmp_path, inputs, encoder):
    classifier = make_classifier(encoder=encoder)
    before = TransformersDM(manifest=make_manifest(inputs), digest="0" * 12, classifier=classifier).score(REQUESTS)
    save_dm(tmp_path, make_manifest(inputs), classifier=classifier)
    dm = load_dm(tmp_path, device="cpu")
    assert isinstance(dm, DiscriminativeModel)
    assert dm.score(REQUESTS) == before
    assert [score.text_logit for score in before] == classifier.logits(REQUESTS)
    fused = before[0].text_logit if inputs == "text" else 0.1 + math.asinh(before[0].text_logit) + 2 * math.asinh(0.5)
    assert before[0].logit == pytest.approx(fused), "text and signals together"


def test_signals_alone_score_by_the_formula(tmp_path):
    dm = load_dm(save(tmp_path, "signals"))
    assert isinstance(dm, SignalDM)
    known, missing = dm.score(REQUESTS)
    assert known.score == pytest.approx(1 / (1 + math.exp(-(0.5 * (0.1 + 2 * math.asinh(0.5)) - 0.2))))
    assert missing.score == pytest.approx(1 / (1 + math.exp(-(0.5 * (0.1 - 1.0) - 0.2))))
    assert known.logit == pytest.approx(0.1 + 2 * math.asinh(0.5))
    assert known.text_logit is None


def test_the_folder_is_an_ordinary_transformers_folder(tmp_path):
    from transformers import pipeline

    save(tmp_path)
    (said,) = pipeline("text-classification", model=str(tmp_path), device="cpu")(["how many one"])
    assert said["label"] in {"reject", "accept"}
    assert not [file.name for file in tmp_path.iterdir() if file.suffix not in {".safetensors", ".json"}]


def test_signals_alone_need_neither_torch_nor_sklearn(tmp_path):
    save(tmp_path, "signals")
    code = (
        "import sys; from drr_agent.dm import load_dm, ScoreRequest;"
        f"load_dm({str(tmp_path)!r}).score([ScoreRequest('q', 'r', 'a')]);"
        "assert not {'torch', 'transformers', 'sklearn'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_digest_follows_the_scores(tmp_path):
    def digest(name, **changes):
        return load_dm(save(tmp_path / name, **changes), device="cpu").digest

    base = digest("base")
    assert digest("again") == base
    assert digest("notes", metrics={"validation": {"auroc": 0.5}}, dataset_digest="x") == base
    assert digest("calibrated", calibration=SigmoidCalibration(kind="platt", slope=0.6, intercept=0.0)) != base
    assert digest("encoder", encoder=True) != base
    set_consensus(tmp_path / "base", {"agreement": 1.5})
    assert load_dm(tmp_path / "base", device="cpu").digest == base


def test_consensus_is_stored_and_nothing_else_changes(tmp_path):
    save(tmp_path, "signals")
    before = read_manifest(tmp_path)
    set_consensus(tmp_path, {"score": 1.0, "agreement": 0.5})
    stored = ConsensusRecord(score=1.0, agreement=0.5)
    assert read_manifest(tmp_path) == before.model_copy(update={"consensus": stored})
    set_consensus(tmp_path, None)
    assert read_manifest(tmp_path) == before
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST]
    with pytest.raises(DMError, match=r"consensus\.agreement"):
        set_consensus(tmp_path, {"agreement": math.nan})
    assert read_manifest(tmp_path) == before


@pytest.mark.parametrize("inputs", ["text", "both"])
def test_weights_that_give_nan_are_an_error_that_counts(tmp_path, inputs):
    dm = load_dm(save(tmp_path, inputs), device="cpu")
    assert isinstance(dm, TransformersDM)
    with torch.no_grad():
        dm.classifier.model.score.weight.fill_(math.nan)
    with pytest.raises(DMError, match="2 of 2 in a batch"):
        dm.score(REQUESTS)


def edit_manifest(path, **changes):
    raw = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**raw, **changes}))


def edit_config(path, **changes):
    raw = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**raw, **changes}))


def drop_head(path):
    from safetensors.torch import load_file, save_file

    weights = load_file(path / "model.safetensors")
    save_file({name: w for name, w in weights.items() if not name.startswith("score")}, path / "model.safetensors")


TEXT = {"template_digest": "another", "max_length": 32, "backbone": "tiny"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda p: (p / MANIFEST).unlink(), "no drr.json in it", id="no-manifest"),
        pytest.param(lambda p: (p / MANIFEST).write_text("{"), "whole manifest", id="torn-manifest"),
        pytest.param(lambda p: (p / MANIFEST).write_text("[]"), "schema 1.*got None", id="not-a-record"),
        pytest.param(lambda p: edit_manifest(p, schema_version=2), "schema 1.*got 2", id="other-schema"),
        pytest.param(lambda p: edit_manifest(p, text=TEXT), "got 'another'", id="other-template"),
        pytest.param(lambda p: edit_manifest(p, surprise=1), "surprise", id="unknown-field"),
        pytest.param(lambda p: edit_manifest(p, fusion=None), "a fusion belongs", id="no-fusion"),
        pytest.param(lambda p: edit_manifest(p, text=None), "`text` belongs", id="no-text"),
        pytest.param(lambda p: (p / "model.safetensors").unlink(), r"\*.safetensors.*none", id="no-weights"),
        pytest.param(
            lambda p: (p / "model.safetensors").write_bytes(b"torn"), "transformers folder", id="torn-weights"
        ),
        pytest.param(lambda p: (p / "pytorch_model.bin").touch(), "pytorch_model.bin", id="pickled-weights"),
        pytest.param(lambda p: (p / "head.pkl").touch(), "head.pkl", id="pickled-anything"),
        pytest.param(lambda p: edit_config(p, id2label={"0": "bad", "1": "good"}), "labels.*'bad'", id="other-labels"),
        pytest.param(lambda p: edit_config(p, id2label={"0": "accept", "1": "reject"}), "labels", id="swapped-labels"),
        pytest.param(lambda p: (p / "config.json").unlink(), "config.json", id="no-config"),
        pytest.param(lambda p: (p / "weights.PT").touch(), "weights.PT", id="pickled-in-capitals"),
        pytest.param(lambda p: (p / "evil.py").touch(), "evil.py", id="code"),
        pytest.param(lambda p: (p / "config.json").write_text("7"), "labels.*got None", id="config-no-record"),
        pytest.param(lambda p: edit_config(p, auto_map={"AutoModel": "evil.M"}), "auto_map in", id="asks-for-code"),
        pytest.param(lambda p: edit_manifest(p, consensus={"surprise": 1.0}), "surprise", id="unknown-consensus"),
        pytest.param(lambda p: edit_manifest(p, consensus={"score": 1e308}), "consensus", id="wild-consensus"),
        pytest.param(lambda p: edit_manifest(p, consensus={"threshold": 3}), "threshold", id="no-probability"),
        pytest.param(lambda p: edit_manifest(p, schema_version=True), "got True", id="schema-true"),
        pytest.param(lambda p: (p / MANIFEST).write_text("9" * 5000), "whole manifest", id="endless-number"),
        pytest.param(drop_head, "whole weights.*score.weight", id="no-head"),
    ],
)
def test_a_folder_that_is_not_what_was_saved_is_refused(tmp_path, spoil, message):
    spoil(save(tmp_path))
    with pytest.raises(DMError, match=message):
        load_dm(tmp_path, device="cpu")


def test_no_folder_is_said_so(tmp_path):
    with pytest.raises(DMError, match=r"no such folder.*drr train"):
        load_dm(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DMError, match=r"found a file; make one"):
        load_dm(tmp_path / "file")


def test_what_is_wrong_with_a_manifest_is_told_on_a_line(tmp_path):
    (tmp_path / MANIFEST).write_text('{"schema_version": 1}')
    with pytest.raises(DMError, match=r"got inputs: Field required \(and 4 more\); train the DM anew$") as caught:
        load_dm(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_dm_is_never_written_over(tmp_path):
    save(tmp_path, "signals")
    with pytest.raises(DMError, match="found one at"):
        save(tmp_path, "signals")


@pytest.mark.parametrize("inputs", ["signals", "both"])
def test_manifest_and_classifier_must_belong_together(tmp_path, inputs):
    with pytest.raises(DMError, match="classifier for inputs="):
        save_dm(tmp_path, make_manifest(inputs), classifier=make_classifier() if inputs == "signals" else None)


def test_a_killed_save_leaves_no_dm(tmp_path, monkeypatch):
    classifier = make_classifier()
    monkeypatch.setattr(classifier.tokenizer, "save_pretrained", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_dm(tmp_path, make_manifest(), classifier=classifier)
    with pytest.raises(DMError, match=r"no drr\.json"):
        load_dm(tmp_path)


def test_an_update_that_does_not_fit_changes_nothing(tmp_path):
    before = read_manifest(save(tmp_path, "signals"))
    with pytest.raises(DMError, match="calibration"):
        update_manifest(tmp_path, calibration={"kind": "magic"})
    assert read_manifest(tmp_path) == before


def test_a_dm_knows_the_questions_it_learned_from(tmp_path):
    digest = load_dm(save(tmp_path, "signals")).digest
    assert load_dm(tmp_path).seen == frozenset()
    add_questions(tmp_path, ["b" * 16, "a" * 16])
    add_questions(tmp_path, ["a" * 16])
    dm = load_dm(tmp_path)
    assert dm.seen == dm.trained == {"a" * 16, "b" * 16}
    assert dm.digest == digest, "what it has seen changes no score"


@pytest.mark.parametrize(
    ("written", "added", "seen", "trained"),
    [
        pytest.param(None, calibrated_lines(["c", "d"]), {"c", "d"}, set(), id="never trained here"),
        pytest.param(["a"], calibrated_lines(["c"]), {"a", "c"}, {"a"}, id="trained, then calibrated"),
        pytest.param(["a"], calibrated_lines(["a"]), {"a"}, {"a"}, id="on the same: it was trained on all the same"),
        pytest.param("a\nb\n", [], {"a", "b"}, set(), id="of an older version: nobody knows"),
        pytest.param("a\nb\n", ["c"], {"a", "b", "c"}, set(), id="which stays so"),
        pytest.param("\n a \n", calibrated_lines(["b"]), {"a", "b"}, set(), id="edited by hand"),
    ],
)
def test_what_a_dm_was_trained_on_is_told_from_what_it_was_calibrated_on(tmp_path, written, added, seen, trained):
    save(tmp_path, "signals")
    if isinstance(written, str):
        (tmp_path / QUESTIONS).write_text(written)
    elif written:
        add_questions(tmp_path, written)
    add_questions(tmp_path, added)
    dm = load_dm(tmp_path)
    assert (dm.seen, dm.trained) == (seen, trained)
    add_questions(tmp_path, read_questions(tmp_path))
    again = load_dm(tmp_path)
    assert (again.seen, again.trained) == (seen, trained), "a copy is as good"


def test_a_full_disk_leaves_no_trace(tmp_path, monkeypatch):
    def full(self, text, **kwargs):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, "signals")
    assert list(tmp_path.iterdir()) == []


def test_a_token_that_is_called_auto_map_is_no_code(tmp_path):
    save(tmp_path)
    (tmp_path / "added.json").write_text('{"auto_map": 7}')
    load_dm(tmp_path, device="cpu")


def test_the_dm_that_ships_knows_its_signals_and_when_to_stop():
    dm = load_dm("pocket")
    assert dm.stopping is not None
    assert {term.name for term in dm.manifest.fusion.signals} <= set(DEFAULT_SIGNALS)
