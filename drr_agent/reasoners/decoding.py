"""Decoding many samples at once, each with its own settings.

A row's tokens depend on its prompt, settings and seed alone, not on the rows it shares a batch with (up to the float
noise of a batched product). A row that ends leaves the batch, so that the others go on faster.

transformers' continuous batching draws from one random state for all requests and gives the log probabilities of the
warped distribution, and `generate` has one setting for a whole batch and carries its finished rows to the end.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from drr_agent.errors import ReasonerError
from drr_agent.reasoners.cache import make_cache

_COMPACT_AT = 7 / 8
"""Rows leave the batch once it is at most this full: each leaving copies the cache."""
_TINY_PARAMETERS = 10_000_000
"""On a CPU, the threads of a model this small wait for each other longer than they work."""


@dataclass(kw_only=True, eq=False)
class Job:
    """One sample to draw."""

    prompt: Sequence[int]
    max_tokens: int
    temperature: float
    """0 takes the likeliest token."""
    top_p: float
    top_k: int | None
    seed: int | None
    """`None` draws from fresh entropy."""
    watch: Callable[[int], bool] | None = None
    """Is told each token as it comes, on the decoding thread, and says whether to end there."""
    cancelled: bool = False
    """Set by a caller that no longer wants the sample."""


@dataclass(kw_only=True, eq=False)
class Completion:
    """What was drawn for a job."""

    tokens: list[int] = field(default_factory=list)
    """Every token drawn, the one that ended it included."""
    logprobs: list[float] = field(default_factory=list)
    """Natural-log probability of each token under the model itself, before temperature, top-p and top-k."""
    ended: bool = False
    """Whether the model or the job's watch ended it, rather than its token limit."""


class Settings(NamedTuple):
    """The rows' sampling settings; tensors of shape (rows, 1), but for `uniforms`."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    top_k: torch.Tensor
    uniforms: torch.Tensor
    """The randomness of every token ahead, in (0, 1]; shape (rows, tokens)."""

    @classmethod
    def of(cls, jobs: Sequence[Job], *, vocabulary: int, device: torch.device) -> "Settings":
        """The settings of these jobs, and their random numbers."""
        uniforms = np.ones((len(jobs), max(job.max_tokens for job in jobs)), dtype=np.float32)
        for row, job in zip(uniforms, jobs, strict=True):
            row[: job.max_tokens] -= np.random.default_rng(job.seed).random(job.max_tokens, dtype=np.float32)
        return cls(
            temperature=torch.tensor([[job.temperature] for job in jobs], dtype=torch.float32, device=device),
            top_p=torch.tensor([[job.top_p] for job in jobs], dtype=torch.float32, device=device),
            top_k=torch.tensor([[vocabulary if job.top_k is None else job.top_k] for job in jobs], device=device),
            uniforms=torch.from_numpy(uniforms).to(device),
        )


def draw(logits: torch.Tensor, settings: Settings, uniform: torch.Tensor) -> torch.Tensor:
    """Draw a token per row by inverting the cumulative distribution.

    Args:
        logits: float32, shape (rows, vocabulary).
        settings: of the same rows.
        uniform: one number in (0, 1] per row, shape (rows, 1).

    Returns:
        Token ids, shape (rows,).
    """
    greedy = settings.temperature == 0
    scaled = logits / settings.temperature.masked_fill(greedy, 1.0)
    if bool((settings.top_p < 1).any()) or bool((settings.top_k < logits.shape[-1]).any()):
        scaled = _restrict(scaled, settings)
    cumulative = scaled.softmax(-1).cumsum(-1)
    # the first token whose cumulative probability reaches the number has a probability above zero, at either end
    drawn = torch.searchsorted(cumulative, uniform * cumulative[:, -1:])
    return torch.where(greedy, logits.argmax(-1, keepdim=True), drawn).squeeze(-1)


def _restrict(scaled: torch.Tensor, settings: Settings) -> torch.Tensor:
    """Leave only the `top_k` likeliest tokens, and of these the fewest that hold a mass of `top_p`."""
    ordered, order = scaled.sort(dim=-1, descending=True)
    outside = torch.arange(ordered.shape[-1], device=scaled.device) >= settings.top_k
    probabilities = ordered.masked_fill(outside, -torch.inf).softmax(-1)
    outside |= probabilities.cumsum(-1) - probabilities >= settings.top_p
    return scaled.masked_fill(torch.zeros_like(outside).scatter(-1, order, outside), -torch.inf)


class Decoder:
    """Draws completions from a causal language model.

    Raises:
        ReasonerError: the model's forward takes no `past_key_values`.
    """

    def __init__(self, model: PreTrainedModel, *, end_tokens: frozenset[int]) -> None:
        self._model = model
        self._end_tokens = end_tokens
        self._accepts = inspect.signature(model.forward).parameters.keys()
        if "past_key_values" not in self._accepts:
            raise ReasonerError(
                "expected a causal model whose forward takes `past_key_values`, got "
                f"{type(model).__name__}; serve it and use 'openai:MODEL' with `base_url`"
            )
        self._threads = torch.get_num_threads()
        self._tiny = model.device.type == "cpu" and model.num_parameters() < _TINY_PARAMETERS

    def decode(self, jobs: Sequence[Job]) -> list[Completion]:
        """Draw a completion per job, all at once.

        Raises:
            ReasonerError: the model computes NaN.
        """
        completions = [Completion() for _ in jobs]
        with torch.inference_mode(), self._few_threads():
            batch = _Batch(jobs, completions, self._model)
            for step in range(max(job.max_tokens for job in jobs)):
                logits = self._forward(batch)
                tokens = draw(logits, batch.settings, batch.settings.uniforms[:, step : step + 1])
                logprobs = logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)
                live = self._record(batch, tokens.tolist(), logprobs.tolist())
                if not live:
                    break
                batch.advance(tokens, live)
        return completions

    @contextmanager
    def _few_threads(self) -> Iterator[None]:
        """One thread for a tiny model; the setting is of the calling thread, and of those that start meanwhile."""
        if self._tiny:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if self._tiny:
                torch.set_num_threads(self._threads)

    def _forward(self, batch: "_Batch") -> torch.Tensor:
        """The logits after each row's last token, float32, shape (rows, vocabulary)."""
        given = {"position_ids": batch.positions, "logits_to_keep": 1}
        output = self._model(
            input_ids=batch.inputs,
            attention_mask=batch.mask,
            past_key_values=batch.cache,
            use_cache=True,
            **{name: value for name, value in given.items() if name in self._accepts},
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        if bool(logits.isnan().any()):
            raise ReasonerError(
                f"expected finite logits from {type(self._model).__name__}, got NaN; load it with dtype='float32'"
            )
        return logits

    def _record(self, batch: "_Batch", tokens: list[int], logprobs: list[float]) -> list[int]:
        """Add the rows' new tokens, and return the places of the rows that go on."""
        live = []
        for place, row in enumerate(batch.rows):
            job, completion = batch.jobs[row], batch.completions[row]
            if completion.ended or job.cancelled or len(completion.tokens) == job.max_tokens:
                continue
            completion.tokens.append(tokens[place])
            completion.logprobs.append(logprobs[place])
            watched = job.watch is not None and tokens[place] not in self._end_tokens and job.watch(tokens[place])
            completion.ended = watched or tokens[place] in self._end_tokens
            if not completion.ended and len(completion.tokens) < job.max_tokens:
                live.append(place)
        return live


class _Batch:
    """The rows still decoding, and the tensors of the next forward pass."""

    def __init__(self, jobs: Sequence[Job], completions: list[Completion], model: PreTrainedModel) -> None:
        self.jobs = jobs
        self.completions = completions
        self.rows = list(range(len(jobs)))
        self.settings = Settings.of(jobs, vocabulary=model.config.get_text_config().vocab_size, device=model.device)
        self.inputs, self.mask = _pad_left([job.prompt for job in jobs], model.device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)
        self.cache = make_cache(model.config)

    def advance(self, tokens: torch.Tensor, live: list[int]) -> None:
        """Make `tokens` the next input; drop ended rows when there are enough of them."""
        self.inputs = tokens[:, None]
        self.positions = self.positions[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=-1)
        if len(live) > _COMPACT_AT * len(self.rows):
            return
        kept = torch.tensor(live, device=tokens.device)
        self.rows = [self.rows[place] for place in live]
        self.settings = Settings(*(tensor[kept] for tensor in self.settings))
        self.inputs, self.positions, self.mask = self.inputs[kept], self.positions[kept], self.mask[kept]
        self.cache.batch_select_indices(kept)


def _pad_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both of shape (rows, longest prompt), padded on the left with masked zeros."""
    width = max(map(len, prompts))
    inputs = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    return inputs, mask
