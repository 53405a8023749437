"""What is read of a row never comes of its own question."""

import pytest
from training.synthetic import make_behaviors

from drr_agent.dm.fusion import Evidence
from drr_agent.dm.stacking import fit_stack
from drr_agent.questions import question_key, unit_of
from drr_agent.training import fusing
from drr_agent.training.config import TrainConfig
from drr_agent.training.fusing import fuse_held_out

TAUGHT, HEARD, OTHERS = (make_behaviors(40, seed=seed, signal=1.5) for seed in (1, 2, 3))
ROWS = [*HEARD, *OTHERS]
LOGITS = {row["id"]: place / 1000 + (row["label"] == "correct") for place, row in enumerate(ROWS)}
EVIDENCE = {row["id"]: Evidence(LOGITS.get(row["id"]), row["signals"]) for row in (*TAUGHT, *ROWS)}


class Watched:
    """A stack that notes which logits it was asked about."""

    def __init__(self, stack, logits):
        self.inner, self.fitted_to, self.read = stack, set(logits), set()
        self.regularization, self.over = stack.regularization, stack.over

    def stack(self, logit, signals):
        self.read.add(logit)
        return self.inner.stack(logit, signals)


@pytest.fixture
def stacks(monkeypatch):
    found = []

    def fit(logits, signals, labels, groups, *, like, seed):
        found.append(Watched(fit_stack(logits, signals, labels, groups, like=like, seed=seed), logits))
        return found[-1]

    monkeypatch.setattr(fusing, "fit_stack", fit)
    return found


def test_a_stack_does_not_read_what_it_learned_from(stacks):
    fused = fuse_held_out([*TAUGHT, *HEARD], HEARD, ROWS, EVIDENCE, TrainConfig(inputs="both"))
    whole, *others = stacks
    assert whole.fitted_to == {LOGITS[row["id"]] for row in HEARD}
    assert set().union(*(stack.read for stack in others)) == whole.fitted_to
    units = {LOGITS[row["id"]]: unit_of(row["question_key"]) for row in HEARD}
    for stack in others:
        assert {units[logit] for logit in stack.read}.isdisjoint(units[logit] for logit in stack.fitted_to)
    assert {stack.regularization for stack in others} == {whole.regularization}
    assert set(fused.readings) == {row["id"] for row in ROWS}


def test_what_is_nearly_the_same_is_held_out_with_it(stacks):
    """The same questions in another spelling, to be read and not learned from."""
    again = [{**row, "id": f"{row['id']}!", "question_key": question_key(f"{row['question']}!")} for row in HEARD]
    evidence = EVIDENCE | {row["id"]: Evidence(LOGITS[row["id"][:-1]] + 9, row["signals"]) for row in again}
    fuse_held_out([*TAUGHT, *HEARD], HEARD, [*ROWS, *again], evidence, TrainConfig(inputs="both"))
    whole, *others = stacks
    assert {logit for logit in whole.read if logit > 8} == {evidence[row["id"]].logit for row in again}
    assert set().union(*(stack.read for stack in others)) >= {evidence[row["id"]].logit for row in again}


@pytest.mark.parametrize("inputs", ["text", "signals", "both"])
def test_what_was_not_learned_from_is_read_as_it_will_be_live(inputs):
    fusion, readings = fuse_held_out([*TAUGHT, *HEARD], HEARD, ROWS, EVIDENCE, TrainConfig(inputs=inputs))
    for row in OTHERS:
        logit, fused = readings[row["id"]]
        assert logit == LOGITS[row["id"]]
        assert fused == pytest.approx(logit if fusion is None else fusion.fuse(EVIDENCE[row["id"]]))


def test_signals_learn_from_what_the_classifier_was_trained_on():
    alone = fuse_held_out(HEARD, HEARD, ROWS, EVIDENCE, TrainConfig(inputs="both")).fusion
    more = fuse_held_out([*TAUGHT, *HEARD], HEARD, ROWS, EVIDENCE, TrainConfig(inputs="both")).fusion
    assert alone.signals != more.signals
