"""The classifier's second input: where the Reasoner wavered, as an embedding of degrees beside that of tokens.

A token that was said in doubt is a token of its own: its id is the plain one plus its degree of doubt times the size
of the vocabulary, and its embedding the sum of the token's and the degree's. So models of any kind take it as they
are: they pool, pad and batch by ids. What is not known adds nothing, and untrained degrees add nothing either.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from drr_agent.doubts import DEGREES, UNKNOWN
from drr_agent.encoding import DoubtedTokens
from drr_agent.errors import ConfigError, DMError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = "logprobs.safetensors"
"""The embedding of degrees, beside the model's own weights, which stay those of an ordinary transformers folder."""
MODULE = "doubts"
"""Its name in the model."""
_READS_LOGPROBS = "drr_reads_logprobs"
"""Where the model's own configuration, saved with its weights, says that it has one."""
_KEY = "weight"
_GAIN = 100.0
"""Times the size of a token's embedding. On a task that doubts alone can tell, a backbone of 1.3M weights was at chance
after 150 steps at a learning rate of 1e-4 with a gain of 9, at AUROC 0.91 within questions with 91, 0.95 with 273."""
_SAMPLE = 1_000
"""Tokens that a vocabulary's size is measured by."""


class DoubtedEmbedding(torch.nn.Module):
    """A model's token embedding, which reads ids with a degree of doubt in them.

    Args:
        tokens: the model's own.
        gain: what the degrees' weights count in the sum. Adam moves a weight by about the learning rate a step, and so
            one that begins at zero would take thousands of steps to count beside a token's.
    """

    def __init__(self, tokens: torch.nn.Embedding, *, gain: float = 1.0) -> None:
        super().__init__()
        self.tokens = tokens
        self.gain = gain
        self.doubts = torch.nn.Embedding(
            DEGREES,
            tokens.embedding_dim,
            padding_idx=UNKNOWN,
            device=tokens.weight.device,
            dtype=tokens.weight.dtype,
        )
        torch.nn.init.zeros_(self.doubts.weight)

    @property
    def weight(self) -> torch.Tensor:
        """The tokens', for those who ask a model for its embedding."""
        return self.tokens.weight

    def ids(self, row: DoubtedTokens) -> list[int]:
        """A row's ids, degrees of doubt included."""
        size = self.tokens.num_embeddings
        return [token + doubt * size for token, doubt in zip(row.tokens, row.doubts, strict=True)]

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of ids of shape (rows, tokens)."""
        size = self.tokens.num_embeddings
        embedded: torch.Tensor = self.tokens(ids % size) + self.gain * self.doubts(ids // size)
        return embedded


def doubted_embedding(model: "PreTrainedModel") -> DoubtedEmbedding | None:
    """The model's embedding of tokens and doubts; `None` for a model that reads tokens alone."""
    found: Any = model.get_input_embeddings()
    return found if isinstance(found, DoubtedEmbedding) else None


def add_doubts(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Give a model an embedding of degrees, all zero, to be trained.

    Raises:
        ConfigError: its tokenizer does not tell where its tokens stand in a text, so that nothing can be aligned.
    """
    if not tokenizer.is_fast:
        raise ConfigError(
            f"expected a fast tokenizer for `logprob_input`, got {type(tokenizer).__name__}, which gives no offsets; "
            "take another backbone, or leave the option out"
        )
    tokens = cast("torch.nn.Embedding", model.get_input_embeddings())
    model.set_input_embeddings(DoubtedEmbedding(tokens, gain=_GAIN * _size(tokens)))
    setattr(model.config, _READS_LOGPROBS, True)


def forget_doubts(model: "PreTrainedModel") -> None:
    """Note on a backbone that was a DM with an embedding of degrees that it has none now."""
    if getattr(model.config, _READS_LOGPROBS, False):
        setattr(model.config, _READS_LOGPROBS, False)


@torch.no_grad()
def _size(tokens: torch.nn.Embedding) -> float:
    """Root mean square of the embeddings as the model sees them, which may be more than the weights."""
    ids = torch.arange(min(_SAMPLE, tokens.num_embeddings), device=tokens.weight.device)
    return float(tokens(ids).float().square().mean().sqrt())


@contextmanager
def plain_embedding(model: "PreTrainedModel") -> Iterator[None]:
    """The model as the ordinary one that it was made of."""
    embedding = doubted_embedding(model)
    if embedding is None:
        yield
        return
    model.set_input_embeddings(embedding.tokens)
    try:
        yield
    finally:
        model.set_input_embeddings(embedding)


def save_doubts(model: "PreTrainedModel", folder: Path) -> None:
    """Write the embedding of degrees into a DM folder, if the model has one."""
    embedding = doubted_embedding(model)
    if embedding is not None:
        weight = embedding.gain * embedding.doubts.weight.detach().float()
        save_file({_KEY: weight.cpu().contiguous()}, folder / WEIGHTS)


def load_doubts(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Give a model that was loaded the embedding of degrees that it was saved with, if it was saved with one.

    Raises:
        DMError: it is not there, or not one of this model.
    """
    if getattr(model.config, _READS_LOGPROBS, False) is not True:
        return
    add_doubts(model, tokenizer)
    embedding = cast("DoubtedEmbedding", doubted_embedding(model))
    embedding.gain = 1.0  # it is in the saved weights
    try:
        embedding.doubts.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DMError(
            f"expected the weights {WEIGHTS!r} of a DM that reads token log probabilities in {str(folder)!r}, got "
            f"{' '.join(str(error).split())}; copy the whole folder, or train the DM anew"
        ) from error
