"""Folds part questions, and never two that are nearly the same."""

import numpy as np
import pytest

from drr_agent.dm.folds import grouped_folds
from drr_agent.questions import question_key, unit_of


@pytest.mark.parametrize(
    "spellings",
    [pytest.param(["What is {} + 1?", "What is {}+1?", "what is {} + 1 !"], id="nearly the same"), ["What is {} + 1?"]],
    ids=str,
)
def test_near_duplicates_stand_on_one_side(spellings):
    groups = [question_key(text.format(number)) for number in range(40) for text in spellings]
    labels = np.random.default_rng(0).integers(2, size=len(groups)).astype(float)
    folds = grouped_folds(labels, groups, seed=0)
    assert len(folds) == 5
    assert sorted(np.concatenate([fold.held_out for fold in folds])) == list(range(len(groups)))
    for fold in folds:
        sides = [{unit_of(groups[place]) for place in side} for side in fold]
        assert sides[0].isdisjoint(sides[1])


def test_two_spellings_of_one_question_make_no_folds():
    keys = [question_key(text) for text in ("What is 1 + 1?", "What is 1+1?")]
    assert grouped_folds(np.array([1.0, 0.0, 1.0, 0.0]), [keys[0], keys[0], keys[1], keys[1]], seed=0) == []
    assert grouped_folds(np.array([1.0, 0.0, 1.0, 0.0]), ["a", "a", "b", "b"], seed=0)
