import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from dm.tiny_models import POSITIONS, tiny_classifier
from fakes import ScriptedChatModel, TableDM
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage

from drr_agent import create_drr_graph
from drr_agent.dm import classifier as module
from drr_agent.dm.classifier import TextClassifier, length_batches, reads_reasoner, set_reads_reasoner
from drr_agent.dm.protocol import ScoreRequest
from drr_agent.encoding import encode
from drr_agent.errors import ConfigError


def make_requests(count=24):
    generator = random.Random(0)
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    return [
        ScoreRequest(
            question=" ".join(generator.choices(words, k=5)),
            rationale=" ".join(generator.choices(words, k=generator.randint(0, 60))),
            answer=generator.choice(words),
        )
        for _ in range(count)
    ]


REQUESTS = make_requests()
TEXTS = [encode(request, max_chars=10_000) for request in REQUESTS]


def make_classifier(*, encoder, max_length=128):
    model, tokenizer = tiny_classifier(TEXTS, encoder=encoder)
    for parameter in model.parameters():  # far from zero, so that a wrongly pooled token shows
        torch.nn.init.normal_(parameter, std=0.3)
    return TextClassifier(model, tokenizer, max_length=max_length, device="cpu")


@pytest.fixture(scope="module", params=[True, False], ids=["encoder", "decoder"])
def classifier(request):
    return make_classifier(encoder=request.param)


def test_scores_do_not_depend_on_batch_padding_or_order(classifier, monkeypatch):
    alone = [classifier.logits([request])[0] for request in REQUESTS]
    assert max(alone) - min(alone) > 0.1, "the texts must differ for the rest to mean anything"
    assert classifier.logits(REQUESTS) == pytest.approx(alone, abs=1e-4)
    assert classifier.logits(REQUESTS[::-1]) == pytest.approx(alone[::-1], abs=1e-4)
    monkeypatch.setattr(module, "_BATCH_TOKENS", 150)
    assert classifier.logits(REQUESTS) == pytest.approx(alone, abs=1e-4)


def test_the_logit_is_accept_over_reject(classifier):
    ids = torch.tensor([classifier.tokenizer(TEXTS[0])["input_ids"]])
    reject, accept = classifier.model(input_ids=ids).logits[0].tolist()
    assert classifier.logits(REQUESTS[:1]) == pytest.approx([accept - reject], abs=1e-5)


def test_threads_share_a_classifier(classifier):
    alone = classifier.logits(REQUESTS)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda request: classifier.logits([request])[0], REQUESTS))
    assert together == pytest.approx(alone, abs=1e-4)


def test_nothing_asked_is_nothing_said(classifier):
    assert classifier.logits([]) == []


@pytest.mark.parametrize("length", [16, 40], ids=["tight", "roomy"])
def test_long_texts_are_cut_to_the_limit_and_keep_their_answer(length):
    classifier = make_classifier(encoder=False, max_length=length)
    long = REQUESTS[0]._replace(rationale="alpha " * 500)
    first, second = classifier.logits([long, long._replace(answer="zeta" if long.answer != "zeta" else "eta")])
    assert first != pytest.approx(second, abs=1e-4)


def test_a_decoder_without_a_padding_token_pads_with_its_end_of_text():
    classifier = make_classifier(encoder=False)
    assert classifier.tokenizer.pad_token == "</s>"
    assert classifier.model.config.pad_token_id == classifier.tokenizer.eos_token_id
    assert classifier.tokenizer.padding_side == "right"


@pytest.mark.parametrize(
    ("spoil", "max_length", "message"),
    [
        pytest.param(lambda m, t: None, POSITIONS + 1, rf"at most {POSITIONS}.*got {POSITIONS + 1}", id="too-long"),
        pytest.param(lambda m, t: setattr(m.config, "num_labels", 3), 64, "2 labels, got 3", id="three-labels"),
        pytest.param(lambda m, t: setattr(t, "eos_token", None), 64, "padding or an end-of-text token", id="no-pad"),
    ],
)
def test_models_that_cannot_serve_are_refused(spoil, max_length, message):
    model, tokenizer = tiny_classifier(TEXTS, encoder=False)
    spoil(model, tokenizer)
    with pytest.raises(ConfigError, match=message):
        TextClassifier(model, tokenizer, max_length=max_length)


@given(lengths=st.lists(st.integers(1, 50), max_size=60), most=st.integers(1, 200))
def test_batches_hold_every_row_once_and_stay_within_the_limit(lengths, most):
    batches = list(length_batches(lengths, max_tokens=most))
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= most


@pytest.mark.parametrize("reads", [True, False], ids=["trained-on-names", "trained-without"])
def test_a_name_is_read_only_where_it_was_trained_on(tmp_path, reads):
    model, tokenizer = tiny_classifier([*TEXTS, "Reasoner: alpha beta"], encoder=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    set_reads_reasoner(model, reads)
    model.save_pretrained(tmp_path)
    saved = type(model).from_pretrained(tmp_path)
    classifier = TextClassifier(saved, tokenizer, max_length=128, device="cpu")
    unnamed, one, other = (
        classifier.logits([request._replace(reasoner=name) for request in REQUESTS]) for name in (None, "alpha", "beta")
    )
    assert (one == pytest.approx(other, abs=1e-4)) is not reads
    assert (one == pytest.approx(unnamed, abs=1e-4)) is not reads


def test_a_backbone_that_read_names_is_told_to_stop():
    model, tokenizer = tiny_classifier(TEXTS, encoder=True)
    set_reads_reasoner(model, True)
    set_reads_reasoner(model, False)
    assert not reads_reasoner(TextClassifier(model, tokenizer, max_length=64, device="cpu").model)


def test_the_loop_says_who_made_an_attempt():
    dm = TableDM({"4": 1.0})
    graph = create_drr_graph(ScriptedChatModel(replies=["so\nAnswer: 4"]), dm)
    run = graph.invoke({"messages": [HumanMessage("2 + 2?")]})["drr"]
    assert [request.reasoner for request in dm.requests] == [run["reasoner"]]
    assert [(request.logprobs, request.spans) for request in dm.requests] == [(None, None)]
    assert run["reasoner"]


def test_the_loop_says_how_likely_each_token_was_and_where_it_stands():
    content = [{"token": token, "logprob": value} for token, value in (("so", -0.5), ("\nAnswer: 4", -1.5))]
    reply = AIMessage("so\nAnswer: 4", response_metadata={"logprobs": {"content": content}})
    dm = TableDM({"4": 1.0})
    create_drr_graph(ScriptedChatModel(replies=[reply]), dm).invoke({"messages": [HumanMessage("2 + 2?")]})
    assert [(request.logprobs, request.spans) for request in dm.requests] == [([-0.5, -1.5], [0, None])]
