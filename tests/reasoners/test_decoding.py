"""The decoding engine against transformers' own `generate` and forward pass."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config, LlamaConfig, LlamaForCausalLM, MistralConfig

from drr_agent.errors import ReasonerError
from drr_agent.reasoners.decoding import Decoder, Job, Settings, draw

END = frozenset({0})
PROMPTS = [[7, 8, 9], [40] * 20, list(range(100, 111)), [200], [5, 250, 5, 250]]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return LlamaForCausalLM.from_pretrained(tiny_folder).eval()


def make_job(prompt=(7, 8, 9), **changes):
    defaults = {"max_tokens": 24, "temperature": 1.0, "top_p": 1.0, "top_k": None, "seed": None}
    return Job(prompt=prompt, **{**defaults, **changes})


def make_settings(rows, *, vocabulary=6, **changes):
    jobs = [make_job(max_tokens=1, **changes) for _ in range(rows)]
    return Settings.of(jobs, vocabulary=vocabulary, device=torch.device("cpu"))


LOGITS = torch.tensor([0.5, 2.0, -1.0, 1.0, -30.0, 0.0])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, LOGITS.softmax(-1), id="the model's own distribution"),
        pytest.param({"temperature": 0.5}, (LOGITS / 0.5).softmax(-1), id="temperature"),
        pytest.param({"temperature": 0.0}, torch.tensor([0, 1.0, 0, 0, 0, 0]), id="greedy"),
        pytest.param({"top_k": 2}, torch.tensor([0, 0.7311, 0, 0.2689, 0, 0]), id="top-k"),
        pytest.param(
            {"top_p": 0.6}, torch.tensor([0, 0.7311, 0, 0.2689, 0, 0]), id="top-p keeps what reaches the mass"
        ),
        pytest.param({"top_p": 0.01}, torch.tensor([0, 1.0, 0, 0, 0, 0]), id="top-p keeps at least one"),
    ],
)
def test_draws_follow_the_distribution(changes, expected):
    rows = 20_000
    settings = make_settings(rows, seed=None, **changes)
    settings = settings._replace(uniforms=1 - torch.rand(rows, 1, generator=torch.Generator().manual_seed(3)))
    drawn = draw(LOGITS.expand(rows, -1), settings, settings.uniforms)
    shares = torch.bincount(drawn, minlength=6) / rows
    assert torch.allclose(shares, expected, atol=0.015)
    assert bool((shares[expected == 0] == 0).all())


@given(
    logits=st.lists(st.floats(-40, 40) | st.just(-math.inf), min_size=1, max_size=8).filter(
        lambda row: max(row) > -math.inf
    ),
    uniform=st.sampled_from([2**-24, 0.3, 0.999, 1.0]),
    top_p=st.floats(0.01, 1.0),
    top_k=st.integers(1, 9),
)
def test_an_impossible_token_is_never_drawn(logits, uniform, top_p, top_k):
    row = torch.tensor([logits])
    (token,) = draw(row, make_settings(1, top_p=top_p, top_k=top_k, vocabulary=len(logits)), torch.tensor([[uniform]]))
    assert row[0, token] > -math.inf
    assert int((row > row[0, token]).sum()) < top_k


SHAPE = {"vocab_size": 260, "bos_token_id": None, "eos_token_id": 0, "initializer_range": 0.6}
LLAMA_SHAPE = {**SHAPE, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize("count", [pytest.param(1, id="alone"), pytest.param(5, id="together")])
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(LlamaConfig(**LLAMA_SHAPE), id="rotary positions"),
        pytest.param(GPT2Config(**SHAPE, n_embd=32, n_layer=2, n_head=2), id="absolute positions"),
        pytest.param(MistralConfig(**LLAMA_SHAPE, num_key_value_heads=1, sliding_window=8), id="sliding window"),
        pytest.param(BloomConfig(**SHAPE, hidden_size=32, n_layer=2, n_head=2), id="no position ids"),
    ],
)
def test_greedy_equals_generate(config, count):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval()
    jobs = [make_job(row, temperature=0.0, max_tokens=10 + 3 * index) for index, row in enumerate(PROMPTS[:count])]
    for job, completion in zip(jobs, Decoder(model, end_tokens=END).decode(jobs), strict=True):
        ids = torch.tensor([job.prompt])
        whole = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=job.max_tokens, do_sample=False, pad_token_id=0
        )
        assert completion.tokens == whole[0, len(job.prompt) :].tolist()


def test_logprobs_are_of_the_model_itself(model):
    jobs = [make_job(prompt, temperature=2.0, top_k=50, seed=4) for prompt in PROMPTS]
    for job, completion in zip(jobs, Decoder(model, end_tokens=END).decode(jobs), strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([[*job.prompt, *completion.tokens]])).logits[0, len(job.prompt) - 1 : -1]
        expected = logits.log_softmax(-1).gather(-1, torch.tensor(completion.tokens)[:, None]).squeeze(-1)
        assert torch.allclose(torch.tensor(completion.logprobs), expected, atol=1e-3)


def test_a_seeded_sample_does_not_depend_on_its_batch(model):
    decoder = Decoder(model, end_tokens=END)
    jobs = [make_job(prompt, seed=index, max_tokens=8 * (index + 1)) for index, prompt in enumerate(PROMPTS)]
    together = [completion.tokens for completion in decoder.decode(jobs)]
    assert together == [decoder.decode([job])[0].tokens for job in jobs]


def test_unseeded_samples_are_independent(model):
    completions = Decoder(model, end_tokens=END).decode([make_job(temperature=3.0) for _ in range(4)])
    assert len({tuple(completion.tokens) for completion in completions}) == 4


@pytest.mark.parametrize("ends", [pytest.param(1, id="at the first token"), pytest.param(5, id="at the fifth")])
def test_a_watch_ends_its_own_row_alone(model, ends):
    seen = []
    watched = make_job(seed=1, watch=lambda token: seen.append(token) or len(seen) == ends)
    short, *others = Decoder(model, end_tokens=frozenset()).decode([watched, *(make_job(seed=s) for s in range(2, 9))])
    assert (len(short.tokens), short.ended, seen) == (ends, True, short.tokens)
    assert all(len(other.tokens) == 24 and not other.ended for other in others)


def test_the_end_token_ends_a_row(model):
    greedy = make_job(temperature=0.0)
    tokens = Decoder(model, end_tokens=frozenset()).decode([greedy])[0].tokens
    end = tokens[3]
    completion = Decoder(model, end_tokens=frozenset({end})).decode([greedy])[0]
    assert completion.tokens == tokens[: tokens.index(end) + 1]
    assert completion.ended


def test_cancelled_rows_stop_and_the_others_go_on(model):
    jobs = [make_job(seed=s) for s in range(3)]

    def cancel_neighbor(_):
        jobs[0].cancelled = True
        return False

    jobs[1].watch = cancel_neighbor
    lengths = [len(completion.tokens) for completion in Decoder(model, end_tokens=frozenset()).decode(jobs)]
    assert lengths == [1, 24, 24]


def test_nan_is_an_error(tiny_folder):
    broken = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    torch.nn.init.constant_(broken.lm_head.weight, math.nan)
    with pytest.raises(ReasonerError, match="expected finite logits from LlamaForCausalLM, got NaN"):
        Decoder(broken, end_tokens=END).decode([make_job()])


def test_a_model_without_a_cache_is_refused():
    class Recurrent(torch.nn.Module):
        def forward(self, input_ids):
            raise NotImplementedError

    with pytest.raises(ReasonerError, match="takes `past_key_values`, got Recurrent"):
        Decoder(Recurrent(), end_tokens=END)
