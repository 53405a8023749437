"""What the model replies: sampled in batches, read and graded."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from tqdm import tqdm
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from drr_agent.reasoners.word_plots import Step
from drr_agent.reasoners.word_problems import Problem
from pocket.conversations import Conversation, ask, encode

_ANSWER = re.compile(r"^Answer: (\d+)$", re.MULTILINE)
_STEP = re.compile(r"^(\d+) ([-+*/]) (\d+) = (\d+)$", re.MULTILINE)
_BATCH = 256


class Attempt(NamedTuple):
    """A reply to a question."""

    text: str
    answer: str | None
    right: bool
    logprob: float
    """Mean log probability of its tokens before the temperature, in nats."""

    @property
    def slipped(self) -> bool:
        """Whether a calculation in it does not add up."""
        found = [(int(a), sign, int(b), int(c)) for a, sign, b, c in _STEP.findall(self.text)]
        return any(not (sign == "/" and b == 0) and Step(a, sign, b).result != c for a, sign, b, c in found)


class _Reply(NamedTuple):
    text: str
    logprob: float


def attempt_all(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    prompts: Sequence[Conversation] | None = None,
    *,
    temperature: float,
    seed: int,
) -> list[Attempt]:
    """One attempt a problem, asked plainly or by `prompts`; temperature 0 takes the likeliest token each time."""
    asked = prompts or [[ask(problem)] for problem in problems]
    replies = _generate(model, tokenizer, asked, temperature=temperature, seed=seed)
    return [_grade(reply, problem) for reply, problem in zip(replies, problems, strict=True)]


def draw_attempts(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
    *,
    draws: int,
    temperature: float,
    seed: int,
) -> list[list[Attempt]]:
    """Several attempts at every problem."""
    repeated = [problem for problem in problems for _ in range(draws)]
    attempts = attempt_all(model, tokenizer, repeated, temperature=temperature, seed=seed)
    return [attempts[start : start + draws] for start in range(0, len(attempts), draws)]


@torch.inference_mode()
def yes_margins(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Conversation]
) -> list[float]:
    """How much likelier `yes` is than `no` as the next word, in nats."""
    yes, no = (tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
    margins = [0.0] * len(prompts)
    for indices, inputs in _prompt_batches(tokenizer, prompts):
        last = model(**inputs).logits[:, -1]
        for index, margin in zip(indices, (last[:, yes] - last[:, no]).tolist(), strict=True):
            margins[index] = margin
    return margins


@torch.inference_mode()
def _generate(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Conversation],
    *,
    temperature: float,
    seed: int,
) -> list[_Reply]:
    sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    replies = [_Reply("", 0.0)] * len(prompts)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for indices, inputs in _prompt_batches(tokenizer, prompts):
            output = model.generate(
                **inputs, **sampling, max_new_tokens=100, top_k=0, output_logits=True, return_dict_in_generate=True
            )
            written = output.sequences[:, inputs["input_ids"].shape[1] :]
            texts = tokenizer.batch_decode(written, skip_special_tokens=True)
            for index, text, logprob in zip(indices, texts, _logprobs(output, tokenizer), strict=True):
                replies[index] = _Reply(text, logprob)
    return replies


def _logprobs(output: Any, tokenizer: PreTrainedTokenizerFast) -> list[float]:
    """Mean log probability of each reply's own tokens, its end included."""
    logits = torch.stack(output.logits, dim=1)
    tokens = output.sequences[:, -logits.shape[1] :]
    own = (tokens != tokenizer.pad_token_id).float()
    logprobs = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    means: list[float] = ((logprobs * own).sum(1) / own.sum(1)).tolist()
    return means


def _prompt_batches(
    tokenizer: PreTrainedTokenizerFast, prompts: Sequence[Conversation]
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """The prompts' indices and padded tokens, those of like length together."""
    assistant = tokenizer.convert_tokens_to_ids("<assistant>")
    encoded = [[*encode(prompt, tokenizer).ids, assistant] for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda index: len(encoded[index]))
    for start in tqdm(range(0, len(order), _BATCH), desc="replies", leave=False):
        indices = order[start : start + _BATCH]
        inputs = tokenizer.pad({"input_ids": [encoded[index] for index in indices]}, return_tensors="pt")
        yield indices, dict(inputs)


def _grade(reply: _Reply, problem: Problem) -> Attempt:
    found = _ANSWER.findall(reply.text)
    answer = found[-1] if found else None
    return Attempt(reply.text, answer, answer == str(problem.target), reply.logprob)
