"""A causal language model in this process: loaded once, shared by everyone who asks for the same one."""

import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jinja2 import TemplateError
from langchain_core.messages import BaseMessage, convert_to_openai_messages
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from drr_agent.batching import Batcher
from drr_agent.dm.quiet import quiet_weights
from drr_agent.errors import ReasonerError
from drr_agent.reasoners.decoding import Completion, Decoder, Job
from drr_agent.reasoners.sampling import Sampling
from drr_agent.reasoners.transcript import INCOMPLETE, Transcript

_ENGINES: "weakref.WeakValueDictionary[EngineSource, Engine]" = weakref.WeakValueDictionary()
_LOADING = threading.Lock()
_DEFAULT_MAX_TOKENS = 1024
_DEFAULT_TEMPERATURE = 1.0
_PATHS = ("/", "./", "../")
"""How a name begins that is a path, and no hub id."""
_MOST_TOKENS = 2**30
"""Tokenizers without a limit of their own name a far greater one."""


class EngineSource(NamedTuple):
    """What is loaded, and how."""

    model: str
    device: str
    dtype: str
    max_batch: int


class Engine:
    """The model, its tokenizer, and the batcher that its callers share."""

    def __init__(self, source: EngineSource, model: PreTrainedModel, tokenizer: Any) -> None:
        self.source = source
        self._generation = model.generation_config
        self._tokenizer = tokenizer
        self._encoding = threading.Lock()
        self._token_texts: dict[int, str] = {}
        self._end_tokens = _end_tokens(model, tokenizer)
        self._context = _context_length(model, tokenizer)
        decoder = Decoder(model, end_tokens=self._end_tokens)
        self.batcher: Batcher[Job, Completion] = Batcher(decoder.decode, max_batch=source.max_batch)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles name what to load; in one process that is this same engine."""
        return load_engine, (self.source,)

    def make_job(
        self, messages: Sequence[BaseMessage], sampling: Sampling, emit: Callable[[str], None] | None = None
    ) -> Job:
        """The sample to draw, with the model's own generation config where `sampling` leaves a setting open.

        Args:
            messages: the conversation, of text alone.
            sampling: the caller's settings.
            emit: is given the pieces of the reply as they come, on the decoding thread.

        Raises:
            ReasonerError: the messages do not suit the model.
        """
        prompt = self._encode(_to_openai(messages))
        wanted = self._setting(sampling.max_tokens, "max_new_tokens", _DEFAULT_MAX_TOKENS)
        stop = sampling.stop or ()
        transcript = Transcript(self.decode, stop=stop, emit=emit) if stop or emit is not None else None
        return Job(
            prompt=prompt,
            max_tokens=wanted if self._context is None else min(wanted, self._context - len(prompt)),
            temperature=self._setting(sampling.temperature, "temperature", _DEFAULT_TEMPERATURE),
            top_p=self._setting(sampling.top_p, "top_p", 1.0),
            top_k=self._setting(sampling.top_k, "top_k", None) or None,
            seed=sampling.seed,
            watch=None if transcript is None else transcript.push,
        )

    def _setting(self, chosen: Any, name: str, default: Any) -> Any:
        """What the caller chose, else what the model's generation config says, else the default."""
        own = getattr(self._generation, name, None)
        return chosen if chosen is not None else own if own is not None else default

    def _encode(self, messages: list[dict[str, Any]]) -> list[int]:
        """The prompt's token ids, at least one short of the context."""
        try:
            with self._encoding:
                tokens: list[int] = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True)[
                    "input_ids"
                ]
        except TemplateError as error:
            roles = ", ".join(str(message["role"]) for message in messages)
            raise ReasonerError(
                f"expected messages that the chat template of {self.source.model!r} takes, got the roles {roles} "
                f"({error}); leave out what it does not know"
            ) from error
        if self._context is not None and len(tokens) >= self._context:
            raise ReasonerError(
                f"expected a prompt shorter than the {self._context} tokens of {self.source.model!r}, "
                f"got {len(tokens)}; shorten the conversation or use a model of longer context"
            )
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of these tokens, without special ones."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def spoken(self, completion: Completion) -> list[int]:
        """A completion's tokens without the one by which the model ended it."""
        tokens = completion.tokens
        return tokens[:-1] if tokens and tokens[-1] in self._end_tokens else tokens

    def describe_token(self, token: int, logprob: float) -> dict[str, Any]:
        """A token in the OpenAI shape; its `bytes` are `None` when it is no whole characters."""
        if token not in self._token_texts:
            self._token_texts[token] = self._tokenizer.decode([token])
        text = self._token_texts[token]
        return {"token": text, "logprob": logprob, "bytes": None if INCOMPLETE in text else list(text.encode())}


def _to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Messages as a chat template reads them."""
    converted: Any = convert_to_openai_messages(messages, text_format="string")
    for message in converted:
        content = message.get("content")
        if isinstance(content, list):
            kinds = sorted({str(block.get("type")) for block in content})
            raise ReasonerError(f"expected messages of text, got blocks of {kinds!r}; use a Reasoner that reads them")
    return list(converted)


def load_engine(source: EngineSource) -> Engine:
    """The engine for this source; two callers with the same source get the same engine.

    Raises:
        ReasonerError: there is no such model, it cannot be loaded, or it has no chat template.
    """
    with _LOADING:
        engine = _ENGINES.get(source)
        if engine is None:
            engine = _ENGINES[source] = _load(source)
        return engine


def _load(source: EngineSource) -> Engine:
    device = _pick_device(source.device)
    dtype = source.dtype if source.dtype != "auto" else "bfloat16" if device.startswith("cuda") else "float32"
    name = str(Path(source.model).expanduser()) if source.model.startswith("~") else source.model
    if name.startswith(_PATHS) and not Path(name).is_dir():
        raise ReasonerError(f"expected a folder at {source.model!r}, found none; check the path")
    try:
        # left open, transformers asks on the terminal whether to run a folder's own code
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        with quiet_weights():
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, trust_remote_code=False)
        model = model.to(device).eval()
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ReasonerError(
            f"expected a folder or a hub id of a causal language model that fits {device!r} as {dtype}, "
            f"got {source.model!r} ({type(error).__name__}: {error}); check the path, or the id and your network"
        ) from error
    if not tokenizer.chat_template:
        raise ReasonerError(
            f"expected a model with a chat template, got {source.model!r} without one; "
            "take its instruct version, or set `chat_template` on its tokenizer and save that to a folder"
        )
    return Engine(source, model, tokenizer)


def _pick_device(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _end_tokens(model: PreTrainedModel, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply, by the model's and the tokenizer's word."""
    named = model.generation_config.eos_token_id if model.generation_config is not None else None
    own = named if isinstance(named, list) else [named]
    return frozenset(token for token in [*own, tokenizer.eos_token_id] if isinstance(token, int))


def _context_length(model: PreTrainedModel, tokenizer: Any) -> int | None:
    """Tokens that prompt and reply share; `None` where neither the model nor its tokenizer says."""
    limits = [getattr(model.config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    return min((limit for limit in limits if isinstance(limit, int) and limit < _MOST_TOKENS), default=None)
