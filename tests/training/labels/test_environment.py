"""A user's own function as a label source, and finding it by name."""

import sys
from functools import partial

import pytest
from fakes import make_attempt, make_run

from drr_agent.errors import ConfigError, DataError
from drr_agent.training.labels.environment import ask_environment, load_callable, name_of

RUN = make_run(attempts=[make_attempt("3", turn=1), make_attempt("4", turn=2)], choice=1)


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        pytest.param(True, [(None, "correct")], id="the chosen attempt is right"),
        pytest.param(False, [(None, "incorrect")], id="it is wrong"),
        pytest.param(None, [], id="nobody knows yet"),
        pytest.param({1: False, 2: True}, [(1, "incorrect"), (2, "correct")], id="by turn"),
        pytest.param({1: None, 2: True}, [(2, "correct")], id="one turn unknown"),
        pytest.param({}, [], id="no turn"),
    ],
)
def test_verdicts(said, labels):
    def tests_passed(run):
        return said

    found = ask_environment(tests_passed, RUN)
    assert [(label["turn"], label["value"]) for label in found] == labels
    assert all((label["source"], label["at"]) == ("environment:tests_passed", RUN["started_at"]) for label in found)


@pytest.mark.parametrize(
    "said",
    [1, "yes", {3: True}, {None: True}, {"1": True}, {1: "no"}, [True, False]],
    ids=["number", "text", "unknown turn", "no turn", "turn as text", "text by turn", "list"],
)
def test_what_is_no_verdict_is_refused(said):
    with pytest.raises(DataError, match=r"expected True, False, None or a mapping .* run 'r1', .* turns are 1, 2"):
        ask_environment(lambda run: said, RUN)


def test_names():
    class Checker:
        def __call__(self, run):
            return True

    assert [name_of(f) for f in (test_names, Checker(), partial(print))] == ["test_names", "Checker", "partial"]


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """A module in the working folder."""
    (tmp_path / "my_own_checks.py").write_text(
        "class Suite:\n    @staticmethod\n    def passed(run):\n        return True\nanswer = 42\n"
    )
    (tmp_path / "needs_another.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("my_own_checks", "needs_another"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("checks")
def test_a_function_of_the_working_folder_is_found_and_the_path_stays_as_it_was():
    before = list(sys.path)
    assert load_callable("my_own_checks:Suite.passed")(RUN) is True
    assert load_callable(" json:dumps ")([]) == "[]"
    assert sys.path == before


@pytest.mark.usefixtures("checks")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param("json", "expected a function as MODULE:NAME", id="no colon"),
        pytest.param(":dumps", "expected a function as MODULE:NAME", id="no module"),
        pytest.param("json:", "expected a function as MODULE:NAME", id="no name"),
        pytest.param("..json:dumps", "expected a function as MODULE:NAME", id="a relative module"),
        pytest.param("./json.py:dumps", "expected a function as MODULE:NAME", id="a path"),
        pytest.param("no_such_module:f", "No module named 'no_such_module'", id="no such module"),
        pytest.param("needs_another:f", "No module named 'no_such_module_anywhere'", id="a module that lacks one"),
        pytest.param("my_own_checks:failed", "found nothing by that name", id="no such function"),
        pytest.param("my_own_checks:answer", "found int; check the name", id="no function"),
    ],
)
def test_what_cannot_be_found(spec, message):
    with pytest.raises(ConfigError, match=message):
        load_callable(spec)
