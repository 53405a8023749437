"""drr_agent: think, score, decide. A small judge, trained on your agent's own attempts, tells it when to stop.

Importing this package loads neither torch nor transformers; names that need them load on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from drr_agent.budget import Budget
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
from drr_agent.runs import RunLog, read_runs
from drr_agent.signals import DEFAULT_SIGNALS, Signal, SignalInput
from drr_agent.state import Attempt, Draft, Run, Sample

if TYPE_CHECKING:
    from drr_agent.dm.certificate import Certificate
    from drr_agent.dm.folder import load_dm
    from drr_agent.reasoners.local import LocalReasoner
    from drr_agent.reasoners.resolve import create_reasoner
    from drr_agent.stopping import StoppingPolicy
    from drr_agent.tracing import TraceLog

__version__ = "0.1.0"

_LAZY = {
    "Certificate": "drr_agent.dm.certificate",
    "LocalReasoner": "drr_agent.reasoners.local",
    "StoppingPolicy": "drr_agent.stopping",
    "TraceLog": "drr_agent.tracing",
    "create_reasoner": "drr_agent.reasoners.resolve",
    "load_dm": "drr_agent.dm.folder",
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
    """Load the names that need torch when they are first asked for."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
