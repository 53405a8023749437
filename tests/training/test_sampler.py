import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.training.sampler import PairSampler

rows = st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(1, 99)), max_size=80)


def make_sampler(given_rows, **changes):
    groups, labels, lengths = (list(column) for column in zip(*given_rows, strict=True)) if given_rows else ([], [], [])
    own = changes.pop("own", [True] * len(groups))
    settings = {"batch_size": 8, "chunk_size": 4, "pairs_only": False, "seed": 0, **changes}
    return PairSampler(groups, labels, lengths, own, **settings)


@given(given_rows=rows, epoch=st.integers(0, 3))
def test_every_row_once_an_epoch(given_rows, epoch):
    sampler = make_sampler(given_rows)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(len(given_rows)))
    assert len(sampler) == len(given_rows)


@given(given_rows=rows)
def test_pairs_alone_leave_out_the_questions_without_one(given_rows):
    sampler = make_sampler(given_rows, pairs_only=True)
    kinds = {}
    for group, label, _ in given_rows:
        kinds.setdefault(group, set()).add(label)
    assert sorted(sampler) == [row for row, (group, *_) in enumerate(given_rows) if len(kinds[group]) == 2]
    assert len(sampler) == len(list(sampler))


def test_the_order_is_of_the_seed_and_the_epoch_alone():
    given_rows = [(row // 5, row % 5 < 2, row % 7 + 1) for row in range(200)]
    sampler, again, other = make_sampler(given_rows), make_sampler(given_rows), make_sampler(given_rows, seed=1)
    first = list(sampler)
    assert first == list(sampler) == list(again)
    assert first != list(other)
    sampler.set_epoch(1)
    assert first != list(sampler)


@pytest.mark.parametrize("mixed_share", [0.2, 0.8])
def test_batches_have_pairs_where_a_plain_shuffle_would_not(mixed_share):
    generator = random.Random(0)
    given_rows = [
        (question, draw < 2 if question < 100 * mixed_share else True, generator.randint(10, 90))
        for question in range(100)
        for draw in range(4)
    ]

    def batches_with_pairs(order):
        batches = [order[start : start + 16] for start in range(0, len(order), 16)]
        labels = [[given_rows[row][:2] for row in batch] for batch in batches]
        return sum(any((group, not right) in batch for group, right in batch) for batch in labels) / len(batches)

    order = list(make_sampler(given_rows, batch_size=16))
    assert batches_with_pairs(order) >= min(0.7, mixed_share * 3.5)
    assert batches_with_pairs(order) > batches_with_pairs(generator.sample(order, len(order)))


def test_rows_of_one_length_come_together():
    generator = random.Random(0)
    given_rows = [(question, question % 2 == 0, generator.randint(1, 100)) for question in range(640)]

    def padding(order):
        lengths = [[given_rows[row][2] for row in order[start : start + 8]] for start in range(0, len(order), 8)]
        return sum(len(batch) * max(batch) - sum(batch) for batch in lengths)

    assert padding(list(make_sampler(given_rows))) < 0.3 * padding(list(range(640)))


def test_a_reasoners_own_pairs_come_together_before_those_with_others():
    # at each question one Reasoner's right and wrong attempt, and two right ones that have no partner of their own
    given_rows = [(question, row != 1, 10) for question in range(20) for row in range(4)]
    own = [row < 2 for _ in range(20) for row in range(4)]
    sampler = make_sampler(given_rows, own=own, chunk_size=2, batch_size=2)
    order = list(sampler)
    place = {row: position for position, row in enumerate(order)}
    assert all(abs(place[4 * question] - place[4 * question + 1]) == 1 for question in range(20))
    sampler.set_epoch(1)
    assert order != list(sampler)
