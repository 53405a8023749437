"""What any policy would have done on logged attempts, before it is switched on. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drr_agent.replay.config import ReplayConfig
    from drr_agent.replay.families import Family, IndexFamily, OnePolicy, View
    from drr_agent.replay.replayer import replay
    from drr_agent.replay.report import ReplayReport, read_replay, write_replay
    from drr_agent.replay.scores import score_rows

_HOMES = {
    "Family": "families",
    "IndexFamily": "families",
    "OnePolicy": "families",
    "ReplayConfig": "config",
    "ReplayReport": "report",
    "View": "families",
    "read_replay": "report",
    "replay": "replayer",
    "score_rows": "scores",
    "write_replay": "report",
}

__all__ = [
    "Family",
    "IndexFamily",
    "OnePolicy",
    "ReplayConfig",
    "ReplayReport",
    "View",
    "read_replay",
    "replay",
    "score_rows",
    "write_replay",
]


def __getattr__(name: str) -> Any:
    """Load a name from its module when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
