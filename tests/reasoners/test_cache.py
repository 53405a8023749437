"""The roomy cache holds what transformers' own cache holds."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.cache_utils import DynamicLayer

from drr_agent.reasoners.cache import RoomyLayer, make_cache

STEPS = st.lists(st.one_of(st.integers(1, 150), st.lists(st.integers(0, 2), min_size=1, max_size=3)), max_size=6)


@settings(max_examples=40)
@given(steps=STEPS, seed=st.integers(0, 99))
def test_layer_equals_the_one_of_transformers(steps, seed):
    torch.manual_seed(seed)
    ours, theirs, rows = RoomyLayer(), DynamicLayer(), 3
    for step in steps:
        if isinstance(step, int):
            keys, values = torch.randn(2, rows, 2, step, 4)
            for mine, other in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
                assert torch.equal(mine, other)
        elif theirs.get_seq_length():
            kept = torch.tensor([index % rows for index in step])
            ours.batch_select_indices(kept)
            theirs.batch_select_indices(kept)
            rows = len(kept)
            assert torch.equal(ours.keys, theirs.keys)
            assert torch.equal(ours.values, theirs.values)
    assert ours.get_seq_length() == theirs.get_seq_length()


def test_one_token_at_a_time_copies_nothing_while_there_is_room():
    layer = RoomyLayer()
    first, _ = layer.update(*torch.randn(2, 1, 2, 5, 4))
    second, _ = layer.update(*torch.randn(2, 1, 2, 1, 4))
    assert first.data_ptr() == second.data_ptr()


def test_only_full_attention_layers_are_replaced():
    config = LlamaConfig(num_hidden_layers=2)
    config.layer_types = ["full_attention", "sliding_attention"]
    config.sliding_window = 8
    names = [type(layer).__name__ for layer in make_cache(config).layers]
    assert names == ["RoomyLayer", "DynamicSlidingWindowLayer"]
