"""The text classifier: any transformers sequence classifier with two labels, 0 reject and 1 accept.

Encoders pool the first token and decoders the last that is not padding. Both are padded on the right here: an encoder
masks the padding, a causal decoder never looks at it, and positions are the same whatever the batch.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from drr_agent.dm.doubted import doubted_embedding
from drr_agent.dm.protocol import ScoreRequest
from drr_agent.encoding import encode_doubts, encode_tokens
from drr_agent.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH_TOKENS = 16_384
"""Most tokens of a forward pass, padding included."""
_READS_REASONER = "drr_reads_reasoner"
"""Where the model's own configuration, saved with its weights, says that it reads the Reasoner's name."""
_NO_LIMIT = 10**9
"""Tokenizers without a length limit give a number above this one."""


class TextClassifier:
    """Scores texts in batches of similar length. Threads may share it; they take turns.

    Args:
        model: a sequence classifier with two labels; moved to `device` in `dtype`.
        tokenizer: its tokenizer; without a padding token it pads with its end-of-text token.
        max_length: most tokens of a text.
        device: by default CUDA where there is one, else the CPU.
        dtype: by default bfloat16 on CUDA devices that have it, else float32.

    Raises:
        ConfigError: the model is not a two-label classifier, reads fewer than `max_length` tokens, or cannot pad.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        *,
        max_length: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if model.config.num_labels != 2:
            raise ConfigError(
                f"expected a classifier with 2 labels, got {model.config.num_labels!r}; load it with num_labels=2"
            )
        check_length(model, tokenizer, max_length)
        self.pad_token_id = set_padding(model, tokenizer)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.device = torch.device(device) if device is not None else best_device()
        dtype = dtype if dtype is not None else best_dtype(self.device)
        self.model = model.to(device=self.device, dtype=dtype).eval()  # type: ignore[call-arg] # a decorator hides `self`
        self._lock = threading.Lock()

    def logits(self, requests: Sequence[ScoreRequest]) -> list[float]:
        """logit(accept) - logit(reject) per request, in order; the log odds the classifier gives for "right"."""
        with self._lock, torch.inference_mode():
            rows = read_tokens(self.model, self.tokenizer, requests, max_length=self.max_length)
            margins = [0.0] * len(rows)
            for batch in length_batches([len(row) for row in rows], max_tokens=_BATCH_TOKENS):
                inputs = pad_rows([rows[index] for index in batch], self.pad_token_id)
                output = self.model(**{name: tensor.to(self.device) for name, tensor in inputs.items()})
                values = accept_margins(output.logits).tolist()
                for index, value in zip(batch, values, strict=True):
                    margins[index] = value
        return margins


def set_reads_reasoner(model: "PreTrainedModel", reads: bool) -> None:  # noqa: FBT001 - what the name says
    """Note on a model, and in its folder once saved, whether it is trained to read the Reasoner's name."""
    if reads != reads_reasoner(model):  # a backbone may be a DM that did
        setattr(model.config, _READS_REASONER, reads)


def reads_reasoner(model: "PreTrainedModel") -> bool:
    """Whether a model was trained to read the Reasoner's name."""
    return getattr(model.config, _READS_REASONER, False) is True


def read_tokens(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    requests: Sequence[ScoreRequest],
    *,
    max_length: int,
) -> list[list[int]]:
    """The ids of each request, of what the model was trained to read of it."""
    readable = requests if reads_reasoner(model) else [request._replace(reasoner=None) for request in requests]
    embedding = doubted_embedding(model)
    if embedding is None:
        return encode_tokens(readable, tokenizer, max_length=max_length)
    return [embedding.ids(row) for row in encode_doubts(readable, tokenizer, max_length=max_length)]


def accept_margins(logits: torch.Tensor) -> torch.Tensor:
    """logit(accept) - logit(reject) in float32; from shape (n, 2) to (n,)."""
    return logits[:, 1].float() - logits[:, 0].float()


def pad_rows(rows: Sequence[Sequence[int]], pad_token_id: int) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, padded on the right; each of shape (rows, longest)."""
    longest = max(map(len, rows))
    return {
        "input_ids": torch.tensor([[*row, *[pad_token_id] * (longest - len(row))] for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
    }


def length_batches(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, longest first, each at most `max_tokens` with padding, or one row."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def set_padding(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    """Make tokenizer and model agree on a padding token and the right side; the token's id.

    Raises:
        ConfigError: the tokenizer has neither a padding nor an end-of-text token.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ConfigError(
                f"expected a tokenizer with a padding or an end-of-text token, got neither in "
                f"{tokenizer.name_or_path!r}; set `pad_token` in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "right"
    # Decoders pool the last token that is not `pad_token_id`; composite models keep a text config of their own.
    for config in (model.config, model.config.get_text_config()):
        config.pad_token_id = tokenizer.pad_token_id
    return int(tokenizer.pad_token_id)


def check_length(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    """Refuse texts longer than the model can read.

    Raises:
        ConfigError: the model or its tokenizer stops before `max_length`.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit is not None and 0 < limit < _NO_LIMIT]
    if limits and max_length > min(limits):
        raise ConfigError(
            f"expected `max_length` of at most {min(limits)}, which this backbone can read, got {max_length!r}; "
            "lower it"
        )


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on CUDA devices that have it, else float32."""
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
