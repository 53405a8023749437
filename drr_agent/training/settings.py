"""What a harvest can be told."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from typing_extensions import TypedDict  # as in `state.py`

from drr_agent.errors import ConfigError
from drr_agent.grading import Grader, get_grader
from drr_agent.parsing import Parser, StructuredOutput, get_parser
from drr_agent.training.filters import parse_filters
from drr_agent.training.labels import Labeler
from drr_agent.training.labels.environment import Environment
from drr_agent.training.labels.targets import Targets, read_targets
from drr_agent.training.redaction import DEFAULT_REDACTION, Redaction
from drr_agent.training.sources import Reading, Unit


class HarvestSettings(TypedDict, total=False):
    """The settings of `harvest` and `harvest_dataset`, given by name; each has a default."""

    grader: str | Grader | Callable[[str, str], bool]
    """Answer equality, for attempts whose question has a target; by default `auto`."""
    mapping: Mapping[str, str] | None
    """Role to column for tables (`{"target": "gold"}`); `""` leaves a role out. Roles that are not named are found by
    the usual column names, see `drr_agent.training.sources.ATTEMPT_COLUMNS`."""
    where: Iterable[str]
    """Filters such as `model=gemma-2-2b-it` or `tokens<512` on any column of a source; all must hold."""
    ignore_labels: Iterable[str]
    """Sources of labels that count for nothing, such as `feedback:toxicity` or `judge:*`: a store may hold scores that
    say nothing of right and wrong."""
    targets: Path | Targets | None
    """Known answers for questions whose log does not hold theirs, joined by id or text; a file is read by
    `read_targets`."""
    environment: Environment | None
    """Says of a run whether it came out right; see `drr_agent.training.labels.environment`."""
    parser: str | Parser | None
    """How the answer is read out of a reply, for traces (by default the whole reply is the answer) and for tables
    without a column of answers."""
    unit: Unit
    """What a plain trace gives: the question and final answer of the `root`, each chat-model `call`, or, by default,
    the root where it has both."""
    redaction: Redaction | None
    """What is replaced in every text; by default what looks like a secret."""
    format: str | None
    """The format of all sources, where their content does not tell it."""
    progress: bool
    """Show a bar where there is a terminal, which is the default."""


def read_settings(settings: HarvestSettings) -> Reading:
    """How the sources of a harvest are read.

    Raises:
        ConfigError: a setting, a filter, a role, a parser or a grader that does not exist.
        DataError: targets that cannot be read.
    """
    unknown = settings.keys() - HarvestSettings.__annotations__.keys()
    if unknown:
        known = ", ".join(HarvestSettings.__annotations__)
        raise ConfigError(f"expected settings of a harvest ({known}), got {sorted(unknown)}; check the spelling")
    redaction = settings.get("redaction")
    return Reading(
        labeler=_labeler(settings),
        filters=parse_filters(settings.get("where", ())),
        redaction=DEFAULT_REDACTION if redaction is None else redaction,
        mapping=settings.get("mapping"),
        parser=_parser(settings.get("parser")),
        unit=settings.get("unit", "auto"),
    )


def _labeler(settings: HarvestSettings) -> Labeler:
    targets = settings.get("targets")
    return Labeler(
        grader=get_grader(settings.get("grader", "auto")),
        ignored=tuple(settings.get("ignore_labels", ())),
        targets=read_targets(targets) if isinstance(targets, str | Path) else targets,
        environment=settings.get("environment"),
    )


def _parser(name: str | Parser | None) -> Parser | None:
    reader = None if name is None else get_parser(name)
    if isinstance(reader, StructuredOutput):
        raise ConfigError(
            "`parser` must read a reply by itself, got 'structured', which needs its Reasoner; name another"
        )
    return reader
