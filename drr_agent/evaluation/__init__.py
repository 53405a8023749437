"""Measuring strategies against each other, and showing the outcome. Names load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drr_agent.evaluation.comparison import Arm, compare, verdict
    from drr_agent.evaluation.report import Report, read_report, write_report
    from drr_agent.evaluation.summary import summarize_dm, summarize_runs
    from drr_agent.evaluation.table import render_table

_HOMES = {
    "Arm": "comparison",
    "Report": "report",
    "compare": "comparison",
    "read_report": "report",
    "render_table": "table",
    "summarize_dm": "summary",
    "summarize_runs": "summary",
    "verdict": "comparison",
    "write_report": "report",
}

__all__ = [
    "Arm",
    "Report",
    "compare",
    "read_report",
    "render_table",
    "summarize_dm",
    "summarize_runs",
    "verdict",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Load a name from its module when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
