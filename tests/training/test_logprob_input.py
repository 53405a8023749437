"""Training with the Reasoner's token log probabilities: what they tell is learned, kept, and asked for."""

import random

import pytest
from dm.tiny_models import save_backbone
from training.synthetic import make_behaviors, texts_of

from drr_agent.dm import load_dm
from drr_agent.dm.doubted import doubted_embedding
from drr_agent.errors import DataError
from drr_agent.signals import SignalInput, compute_signals
from drr_agent.signals.logprobs import LOGPROB_SIGNALS
from drr_agent.training.behaviors import to_attempt, to_request
from drr_agent.training.calibrate import ranking
from drr_agent.training.config import LoraConfig, TrainConfig
from drr_agent.training.progress import ProgressLine
from drr_agent.training.train import train_dm


def wavering(questions, *, seed):
    """Attempts that doubt one word: wrong ones the word "so", right ones any other. All else is the same in both."""
    generator = random.Random(seed)
    rows = []
    for row in make_behaviors(questions, seed=seed, text=False):
        words = row["rationale"].split(" ")
        others = [place for place, word in enumerate(words) if word != "so"]
        doubted = words.index("so") if row["label"] == "incorrect" else generator.choice(others)
        logprobs = [-4.0 if place == doubted else -0.001 for place in range(len(words))]
        spans = [len(" ".join(words[:place])) + (place > 0) for place in range(len(words))]
        rows.append({**row, "logprobs": logprobs, "spans": spans})
    return rows


TRAIN, VALIDATION, TEST = wavering(90, seed=1), wavering(30, seed=2), wavering(60, seed=3)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    return save_backbone(tmp_path_factory.mktemp("backbone"), texts_of(TRAIN + VALIDATION + TEST), encoder=True)


def make_config(backbone, **changes):
    values = {
        "backbone": backbone,
        "inputs": "text",
        "logprob_input": True,
        "max_length": 96,
        "max_steps": 60,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "evaluations": 4,
        "progress": False,
    }
    return TrainConfig(**{**values, **changes})


def within(dm, rows=TEST):
    scores = [score.score for score in dm.score([to_request(row) for row in rows])]
    return ranking(scores, rows)["within_question_auroc"]


@pytest.mark.parametrize("share", [0, 4], ids=["all-rows", "some-without"])
def test_where_the_reasoner_wavered_is_learned(tmp_path, backbone, share):
    train = [{**row, "spans": None} if share and number % share == 0 else row for number, row in enumerate(TRAIN)]
    dm = load_dm(train_dm(train, VALIDATION, config=make_config(backbone), out=tmp_path), device="cpu")
    assert within(dm) > 0.9
    assert dm.manifest.train_config["logprob_input"] is True
    silent = [{**row, "logprobs": None, "spans": None} for row in TEST]
    assert 0.35 < within(dm, silent) < 0.65, "the text tells nothing"


def test_neither_text_nor_signals_tell_it(tmp_path, backbone):
    config = make_config(backbone, logprob_input=False)
    dm = load_dm(train_dm(TRAIN, VALIDATION, config=config, out=tmp_path), device="cpu")
    assert 0.35 < within(dm) < 0.65
    for name, signal in LOGPROB_SIGNALS.items():
        found = [
            compute_signals({name: signal}, SignalInput(question=row["question"], draft=to_attempt(row, None)))[name]
            for row in TEST
        ]
        told = None if None in found else ranking(found, TEST)["within_question_auroc"]
        assert told is None or 0.3 < told < 0.7, name


@pytest.mark.parametrize("missing", ["logprobs", "spans"])
def test_rows_without_any_are_refused(tmp_path, backbone, missing):
    train = [{**row, missing: None} for row in TRAIN]
    with pytest.raises(DataError, match=r"log probabilities and their places for `logprob_input`, got none in 360"):
        train_dm(train, VALIDATION, config=make_config(backbone), out=tmp_path)


def test_a_killed_training_goes_on_with_its_doubts(tmp_path, backbone, monkeypatch):
    config = make_config(backbone, max_steps=24, progress=True)
    whole = train_dm(TRAIN, VALIDATION, config=config, out=tmp_path / "whole")
    seen = []

    def watch(self, args, state, control, **kwargs):
        seen.append(state.global_step)
        if len(seen) == 15:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressLine, "on_step_end", watch)
    with pytest.raises(KeyboardInterrupt):
        train_dm(TRAIN, VALIDATION, config=config, out=tmp_path / "killed")
    killed = train_dm(TRAIN, VALIDATION, config=config, out=tmp_path / "killed", resume=True)
    assert seen[15:] == list(range(13, 25)), "from the checkpoint at step 12 to the end"
    one, other = (load_dm(path, device="cpu").classifier for path in (whole, killed))
    requests = [to_request(row) for row in TEST]
    assert other.logits(requests) == pytest.approx(one.logits(requests), abs=1e-4)
    assert (
        doubted_embedding(one.model).doubts.weight[0].abs().max()
        == 0
        < doubted_embedding(one.model).doubts.weight.abs().max()
    )


# peft 0.21 asks transformers for a name that 5.23 calls old.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_are_trained_beside_doubts(tmp_path, backbone):
    config = make_config(backbone, lora=LoraConfig(rank=8, alpha=32), learning_rate=1e-2, max_steps=120)
    dm = load_dm(train_dm(TRAIN, VALIDATION, config=config, out=tmp_path), device="cpu")
    assert within(dm) > 0.8
    assert not list(tmp_path.glob("adapter*"))
