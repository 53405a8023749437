"""Which checkpoints have to be opened: those before which the writes do not tell everything."""

import pytest
from fakes import make_run

from drr_agent.training.sources.checkpoints import Checkpoint, read_threads

RUN = make_run("in the state")


class States:
    """A store in whose every state a run has ended; it keeps count of those that are opened."""

    def __init__(self):
        self.opened = []

    def cell(self, key):
        raise AssertionError("no checkpoint here has writes")

    def state(self, key):
        self.opened.append(key)
        return {"drr": RUN}


def point(name, parent, step, source, tasks=1):
    return Checkpoint("", name, parent, step, source, name, tasks, [])


FIRST = point("first", None, -1, "input")


@pytest.mark.parametrize(
    ("checkpoints", "opened"),
    [
        pytest.param([FIRST], [], id="the first of a thread"),
        pytest.param([point("a", None, 0, "input")], ["a"], id="an input whose parents were pruned"),
        pytest.param([point("a", None, 7, "input")], ["a"], id="a later input whose parents were pruned"),
        pytest.param([point("a", None, -1, "loop")], ["a"], id="a first one that no input made"),
        pytest.param([point("a", None, -1, None)], ["a"], id="a first one that nobody knows"),
        pytest.param([point("a", None, None, "input")], ["a"], id="an input at no step"),
        pytest.param([FIRST, point("a", "first", 0, "loop")], [], id="a step"),
        pytest.param([FIRST, point("a", "first", 1, "loop")], ["a"], id="a step that was not saved"),
        pytest.param([FIRST, point("a", "first", None, "loop")], ["a"], id="a step without a number"),
        pytest.param(
            [FIRST._replace(step=None), point("a", "first", 0, "loop")], ["first", "a"], id="no number before"
        ),
        pytest.param([FIRST, point("a", "other", 0, "loop")], ["a"], id="a parent that is not there"),
        pytest.param(
            [FIRST, point("a", "first", 0, "loop"), point("b", "first", 0, "loop")], ["b"], id="a second continuation"
        ),
        *(
            pytest.param(
                [FIRST._replace(tasks=tasks), point("a", "first", 0, source)],
                opened,
                id=f"{tasks} tasks, then {source}",
            )
            for tasks, source, opened in [
                (0, "input", []),
                (2, "input", []),
                (1, "input", []),
                (0, "loop", ["a"]),
                (2, "loop", ["a"]),
                (2, "update", ["a"]),
                (1, "update", []),
            ]
        ),
    ],
)
def test_a_checkpoint_is_opened_where_the_writes_do_not_tell_everything(checkpoints, opened):
    store = States()
    found = list(read_threads([("t", checkpoints)], store))
    assert store.opened == opened
    assert [entry.run for entry in found] == [RUN] * bool(opened)
