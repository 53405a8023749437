"""A key-value cache that makes room ahead.

transformers' own cache copies every key and value it holds at each token, which on a CPU costs a small model most of
its time. Here a layer writes into spare room and copies only when that is used up.
"""

from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

_SPARE_TOKENS = 128


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A full-attention layer's keys and values: views, as long as what was written, of longer buffers."""

    _buffers: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: object, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values of shape (batch, heads, new tokens, head size), and return all there are."""
        start = self.get_seq_length()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = start + key_states.shape[-2]
        if self._buffers is None or end > self._buffers[0].shape[-2]:
            self._buffers = (_extend(key_states, self.keys, end), _extend(value_states, self.values, end))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        return self._view(end)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only these rows of the batch."""
        if self._buffers is not None:
            length = self.get_seq_length()
            self._buffers = (self._buffers[0][indices], self._buffers[1][indices])
            self._view(length)

    def _view(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._buffers is not None
        keys, values = (buffer[:, :, :length] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


def _extend(states: torch.Tensor, held: torch.Tensor | None, length: int) -> torch.Tensor:
    """A buffer for `length` tokens and some more, that begins with what is held."""
    buffer = states.new_empty(*states.shape[:2], length + _SPARE_TOKENS, states.shape[-1])
    if held is not None and held.numel():
        buffer[:, :, : held.shape[-2]] = held
    return buffer


def make_cache(config: PreTrainedConfig) -> DynamicCache:
    """The cache for a model of this configuration; sliding and other layers stay as transformers makes them."""
    cache = DynamicCache(config=config)
    cache.layers = [_with_room(layer) for layer in cache.layers]
    return cache


def _with_room(layer: Any) -> Any:
    # its subclasses keep more than keys and values, or drop some
    return RoomyLayer() if type(layer) is DynamicLayer else layer  # type: ignore[no-untyped-call]
