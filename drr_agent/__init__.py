"""drr_agent: think, score, decide. A small judge, trained on your agent's own attempts, tells it when to stop.

Importing this package loads nothing else: each name's module is loaded when the name is first asked for. So the command
line can say within milliseconds what becomes of a Ctrl-C.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drr_agent.budget import Budget
    from drr_agent.dm.certificate import Certificate
    from drr_agent.dm.folder import load_dm
    from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
    from drr_agent.errors import (
        ConfigError,
        DataError,
        DMError,
        DRRError,
        MissingExtraError,
        ReasonerError,
        UncertifiedWarning,
    )
    from drr_agent.feedback import Contrast, Feedback, Fresh, History
    from drr_agent.grading import Grader
    from drr_agent.graphs import create_baseline, create_drr_graph
    from drr_agent.no_progress import NoProgress
    from drr_agent.parsing import AnswerLine, Parser, StructuredOutput, WholeMessage
    from drr_agent.policy import (
        BestScorePolicy,
        ConsensusPolicy,
        ConsensusWeights,
        Decision,
        MajorityPolicy,
        Policy,
        ThresholdPolicy,
    )
    from drr_agent.prompts import Prompts
    from drr_agent.reasoners.local import LocalReasoner
    from drr_agent.reasoners.resolve import create_reasoner
    from drr_agent.runs import RunLog, read_runs
    from drr_agent.signals import DEFAULT_SIGNALS, Signal, SignalInput
    from drr_agent.state import Attempt, Draft, Run, Sample
    from drr_agent.stopping import StoppingPolicy
    from drr_agent.tracing import TraceLog

__version__ = "0.1.0"

_LAZY = {
    "AnswerLine": "drr_agent.parsing",
    "Attempt": "drr_agent.state",
    "BestScorePolicy": "drr_agent.policy",
    "Budget": "drr_agent.budget",
    "Certificate": "drr_agent.dm.certificate",
    "ConfigError": "drr_agent.errors",
    "ConsensusPolicy": "drr_agent.policy",
    "ConsensusWeights": "drr_agent.policy",
    "Contrast": "drr_agent.feedback",
    "DEFAULT_SIGNALS": "drr_agent.signals",
    "DMError": "drr_agent.errors",
    "DRRError": "drr_agent.errors",
    "DataError": "drr_agent.errors",
    "Decision": "drr_agent.policy",
    "DiscriminativeModel": "drr_agent.dm.protocol",
    "Draft": "drr_agent.state",
    "Feedback": "drr_agent.feedback",
    "Fresh": "drr_agent.feedback",
    "Grader": "drr_agent.grading",
    "History": "drr_agent.feedback",
    "LocalReasoner": "drr_agent.reasoners.local",
    "MajorityPolicy": "drr_agent.policy",
    "MissingExtraError": "drr_agent.errors",
    "NoProgress": "drr_agent.no_progress",
    "Parser": "drr_agent.parsing",
    "Policy": "drr_agent.policy",
    "Prompts": "drr_agent.prompts",
    "ReasonerError": "drr_agent.errors",
    "Run": "drr_agent.state",
    "RunLog": "drr_agent.runs",
    "Sample": "drr_agent.state",
    "Score": "drr_agent.dm.protocol",
    "ScoreRequest": "drr_agent.dm.protocol",
    "Signal": "drr_agent.signals",
    "SignalInput": "drr_agent.signals",
    "StoppingPolicy": "drr_agent.stopping",
    "StructuredOutput": "drr_agent.parsing",
    "ThresholdPolicy": "drr_agent.policy",
    "TraceLog": "drr_agent.tracing",
    "UncertifiedWarning": "drr_agent.errors",
    "WholeMessage": "drr_agent.parsing",
    "create_baseline": "drr_agent.graphs",
    "create_drr_graph": "drr_agent.graphs",
    "create_reasoner": "drr_agent.reasoners.resolve",
    "load_dm": "drr_agent.dm.folder",
    "read_runs": "drr_agent.runs",
}

__all__ = [
    "DEFAULT_SIGNALS",
    "AnswerLine",
    "Attempt",
    "BestScorePolicy",
    "Budget",
    "Certificate",
    "ConfigError",
    "ConsensusPolicy",
    "ConsensusWeights",
    "Contrast",
    "DMError",
    "DRRError",
    "DataError",
    "Decision",
    "DiscriminativeModel",
    "Draft",
    "Feedback",
    "Fresh",
    "Grader",
    "History",
    "LocalReasoner",
    "MajorityPolicy",
    "MissingExtraError",
    "NoProgress",
    "Parser",
    "Policy",
    "Prompts",
    "ReasonerError",
    "Run",
    "RunLog",
    "Sample",
    "Score",
    "ScoreRequest",
    "Signal",
    "SignalInput",
    "StoppingPolicy",
    "StructuredOutput",
    "ThresholdPolicy",
    "TraceLog",
    "UncertifiedWarning",
    "WholeMessage",
    "__version__",
    "create_baseline",
    "create_drr_graph",
    "create_reasoner",
    "load_dm",
    "read_runs",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when the name is first asked for."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for those who look around."""
    return [*__all__]
