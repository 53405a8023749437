"""The environment's word: a function of the user's own that says of a run whether it came out right.

    def tests_passed(run):
        return ci_verdict(run["run_id"])  # True, False, or None while nobody knows

`True` or `False` judges the chosen attempt; a mapping from turns judges attempts one by one. What the world says later,
such as a ticket that is reopened, is appended to a label log instead (`drr_agent.training.labels.log`).
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from drr_agent.errors import ConfigError, DataError
from drr_agent.state import Label, Run, RunLabel
from drr_agent.training.times import to_utc

Verdicts = bool | None | Mapping[int, bool | None]
Environment = Callable[[Run], Verdicts]

_FAILURES: tuple[type[Exception], ...] = (Exception,)
"""How somebody else's function breaks: in any way. The error that names the run is raised from its own."""


def ask_environment(environment: Environment, run: Run) -> list[RunLabel]:
    """What the environment says of a run, as labels of the source `environment:<function name>`.

    Their time is that of the run, so that the same log gives the same labels. Of what it does not know (`None`) there
    is no label.

    Raises:
        DataError: it raised an error, or said what is neither a truth value, `None` nor a mapping from the run's turns.
    """
    name = name_of(environment)
    try:
        said = environment(run)
    except _FAILURES as error:
        raise DataError(
            f"expected a verdict of environment {name!r} on run {run['run_id']!r}, got "
            f"{type(error).__name__}: {error}; mend the function, or let it return None for such a run"
        ) from error
    return [
        {"turn": turn, "value": _label(value), "source": f"environment:{name}", "at": to_utc(run["started_at"])}
        for turn, value in _by_turn(said, run, name).items()
        if value is not None
    ]


def name_of(environment: Environment) -> str:
    """The name of a function, or of the type of what is called like one."""
    return str(getattr(environment, "__name__", type(environment).__name__))


def load_callable(spec: str) -> Callable[..., Any]:
    """A function by `module:name`, from what is installed or from the working folder.

    It runs code that the user names; never pass it what stands in a log.

    Raises:
        ConfigError: another form, no such module, or nothing in it by that name that can be called.
    """
    module_name, _, path = spec.strip().partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *path.split("."))):
        raise ConfigError(f"expected a function as MODULE:NAME, such as checks:tests_passed, got {spec!r}")
    try:
        with _working_folder():
            found: Any = import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"expected a module {module_name!r} for {spec!r}, got {type(error).__name__}: {error}; "
            "install it, or run the command in its folder"
        ) from error
    for name in path.split("."):
        found = getattr(found, name, None)
    if not callable(found):
        what = "nothing by that name" if found is None else type(found).__name__
        raise ConfigError(f"expected a function at {spec!r}, found {what}; check the name")
    return found  # type: ignore[no-any-return]


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let modules of the working folder be found, after all others: they hide none."""
    folder = str(Path.cwd())
    known = folder in sys.path
    if not known:
        sys.path.append(folder)
    try:
        yield
    finally:
        if not known:
            sys.path.remove(folder)


def _by_turn(said: Any, run: Run, name: str) -> Mapping[int | None, bool | None]:
    """Verdicts by turn; `None` is the chosen attempt."""
    verdicts: Mapping[Any, Any] = said if isinstance(said, Mapping) else {None: said}
    turns = {attempt["turn"] for attempt in run["attempts"]} if isinstance(said, Mapping) else {None}
    for turn, value in verdicts.items():
        if turn not in turns or not isinstance(value, bool | None):
            raise DataError(
                f"expected True, False, None or a mapping from turns to these of environment {name!r} on run "
                f"{run['run_id']!r}, got {said!r:.200}; the run's turns are "
                f"{', '.join(str(attempt['turn']) for attempt in run['attempts']) or 'none'}"
            )
    return verdicts


def _label(value: bool) -> Label:  # noqa: FBT001 - the value is the subject
    return "correct" if value else "incorrect"
