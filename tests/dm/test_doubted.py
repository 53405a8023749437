"""The classifier's second input: it is read where it was trained, adds nothing where nothing is known, and is saved."""

import json

import pytest
import torch
from dm.test_folder import make_manifest
from dm.tiny_models import tiny_classifier
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from drr_agent.dm import classifier as classifier_module
from drr_agent.dm import load_dm, save_dm
from drr_agent.dm.classifier import TextClassifier
from drr_agent.dm.doubted import WEIGHTS, add_doubts, doubted_embedding, forget_doubts
from drr_agent.dm.protocol import ScoreRequest
from drr_agent.doubts import DEGREES
from drr_agent.errors import ConfigError, DMError

WORDS = ["one", "and", "two", "is", "three", "so"]
RATIONALE = " ".join(WORDS)
SPANS = [RATIONALE.index(word) for word in WORDS]


def request(*doubted, **changes):
    """An attempt in which these words were doubted."""
    logprobs = [-4.0 if word in doubted else 0.0 for word in WORDS]
    plain = ScoreRequest("how many", RATIONALE, "two", logprobs=logprobs, spans=SPANS)
    return plain._replace(**changes)


SILENT = request(logprobs=None, spans=None)
REQUESTS = [request(), request("two"), request("three", rationale=RATIONALE + " so" * 40), request("two", "so"), SILENT]


def make_classifier(*, encoder=True, doubts=True):
    model, tokenizer = tiny_classifier(["how many Question Rationale Answer", RATIONALE], encoder=encoder)
    if doubts:
        add_doubts(model, tokenizer)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():  # the same, with doubts and without
        if "doubts" not in name and "norm" not in name.lower():
            torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return TextClassifier(model, tokenizer, max_length=64, device="cpu")


def train(classifier):
    """Give it degrees that are not zero, but for the one that is not known."""
    weight = doubted_embedding(classifier.model).doubts.weight
    with torch.no_grad():
        weight[1:] = torch.randn(weight[1:].shape, generator=torch.Generator().manual_seed(0))
    return classifier


@pytest.fixture(scope="module", params=[True, False], ids=["encoder", "decoder"])
def trained(request):
    return train(make_classifier(encoder=request.param))


def test_doubts_count_by_their_place(trained):
    sure, two, so, silent = trained.logits([request(), request("two"), request("so"), SILENT])
    assert len({round(value, 3) for value in (sure, two, so, silent)}) == 4


def test_what_is_not_known_adds_nothing(trained):
    plain = make_classifier(encoder=trained.tokenizer.cls_token is not None, doubts=False)
    assert trained.logits([SILENT]) == pytest.approx(plain.logits([request("two")]), abs=1e-5)


@pytest.mark.parametrize("encoder", [True, False], ids=["encoder", "decoder"])
def test_untrained_doubts_add_nothing(encoder):
    plain, doubted = (make_classifier(encoder=encoder, doubts=doubts).logits(REQUESTS) for doubts in (False, True))
    assert doubted == pytest.approx(plain, abs=1e-5)


def test_scores_do_not_depend_on_batch_padding_or_order(trained, monkeypatch):
    alone = [trained.logits([one])[0] for one in REQUESTS]
    assert trained.logits(REQUESTS) == pytest.approx(alone, abs=1e-4)
    assert trained.logits(REQUESTS[::-1]) == pytest.approx(alone[::-1], abs=1e-4)
    monkeypatch.setattr(classifier_module, "_BATCH_TOKENS", 100)
    assert trained.logits(REQUESTS) == pytest.approx(alone, abs=1e-4)


def test_a_saved_dm_reads_them_as_it_did(trained, tmp_path):
    before = trained.logits(REQUESTS)
    save_dm(tmp_path, make_manifest("text"), classifier=trained)
    assert trained.logits(REQUESTS) == before, "saving changes nothing"
    dm = load_dm(tmp_path, device="cpu")
    assert dm.manifest == make_manifest("text")
    again = TextClassifier(dm.classifier.model, dm.classifier.tokenizer, max_length=64, device="cpu")
    assert again.logits(REQUESTS) == pytest.approx(before, abs=1e-5)
    assert load_file(tmp_path / WEIGHTS)["weight"].shape == (DEGREES, 32)


def test_the_rest_is_an_ordinary_transformers_folder(trained, tmp_path):
    save_dm(tmp_path, make_manifest("text"), classifier=trained)
    model, report = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    plain = TextClassifier(model, trained.tokenizer, max_length=64, device="cpu")
    assert plain.logits([request("two")]) == pytest.approx(trained.logits([SILENT]), abs=1e-5)


def test_a_dm_without_them_is_as_it_was(tmp_path):
    save_dm(tmp_path, make_manifest("text"), classifier=make_classifier(doubts=False))
    assert not (tmp_path / WEIGHTS).exists()
    assert "drr_reads_logprobs" not in json.loads((tmp_path / "config.json").read_text())


def test_its_weights_are_part_of_the_digest(trained, tmp_path):
    save_dm(tmp_path, make_manifest("text"), classifier=trained)
    before = load_dm(tmp_path, device="cpu").digest
    save_file({"weight": torch.ones(DEGREES, 32)}, tmp_path / WEIGHTS)
    assert load_dm(tmp_path, device="cpu").digest != before


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: file.unlink(), id="gone"),
        pytest.param(lambda file: file.write_bytes(b"x"), id="damaged"),
        pytest.param(lambda file: save_file({"weight": torch.ones(3, 32)}, file), id="of-another-shape"),
        pytest.param(lambda file: save_file({"other": torch.ones(3)}, file), id="of-another-name"),
    ],
)
def test_weights_that_are_not_whole_are_refused(trained, tmp_path, spoil):
    save_dm(tmp_path, make_manifest("text"), classifier=trained)
    spoil(tmp_path / WEIGHTS)
    with pytest.raises(DMError, match=r"expected the weights 'logprobs.safetensors'.*copy the whole folder"):
        load_dm(tmp_path, device="cpu")


def test_they_are_no_weights_of_a_model(trained, tmp_path):
    save_dm(tmp_path, make_manifest("text"), classifier=trained)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DMError, match=r"expected weights as \*\.safetensors"):
        load_dm(tmp_path, device="cpu")


def test_a_tokenizer_without_offsets_is_refused():
    class Slow:
        is_fast = False

    model, _ = tiny_classifier(["how"], encoder=True)
    with pytest.raises(ConfigError, match="expected a fast tokenizer for `logprob_input`, got Slow"):
        add_doubts(model, Slow())


def test_a_backbone_that_had_them_has_none(trained, tmp_path):
    save_dm(tmp_path / "dm", make_manifest("text"), classifier=trained)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "dm")
    forget_doubts(model)
    save_dm(
        tmp_path / "new",
        make_manifest("text"),
        classifier=TextClassifier(model, trained.tokenizer, max_length=64, device="cpu"),
    )
    assert doubted_embedding(load_dm(tmp_path / "new", device="cpu").classifier.model) is None
