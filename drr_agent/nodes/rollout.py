"""Who is enforced and who is shadowed: by the graph, by the run's own configuration, by chance."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import get_runtime

from drr_agent.errors import ConfigError
from drr_agent.policy import ENDS, Decision
from drr_agent.state import AppliedMode, Attempt, StopReason, Verdict, Would

Mode = Literal["enforce", "shadow", "canary"]
_KEY = "drr_mode"


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How the policy's word is applied."""

    mode: Mode = "enforce"
    share: float = 0.1
    """Of the threads, those that a canary enforces."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: no such mode, or a share that is none.
        """
        _check_mode(self.mode, "`mode`")
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"`share` must be a share of the threads in [0, 1], got {self.share!r}; pass such as 0.1")

    def apply(self, run_id: str, config: RunnableConfig | None) -> AppliedMode | None:
        """How a run is treated; `None` where the graph knows nothing but to enforce, and runs do not say.

        Args:
            run_id: takes the place of a thread's id where there is none.
            config: of the run, whose `configurable`, or else context, may hold a `drr_mode` of its own.

        Raises:
            ConfigError: that is no mode.
        """
        asked = None if config is None else _asked(config)
        mode = self.mode if asked is None else asked
        if mode == "canary":
            thread = {} if config is None else config.get("configurable", {})
            return "enforce" if _place(str(thread.get("thread_id") or run_id)) < self.share else "shadow"
        return None if mode == self.mode == "enforce" else mode


def shadow_verdict(attempts: list[Attempt], ended: list[Attempt], reason: StopReason | None) -> list[Attempt]:
    """The attempts as `ended` has them; where the policy would have thought on, the last one says it was not let."""
    return ended if reason is not None else [*attempts[:-1], {**attempts[-1], "verdict": "shadow"}]


def would(decision: Decision, reason: StopReason | None) -> Would:
    """What the policy and the limits would have made of a run."""
    ends: Verdict | None = None if reason is None else ENDS.get(reason)
    outcome = "continue" if reason is None else ends or "stop"
    assert outcome in ("continue", "accept", "stop", "review")  # `ENDS` holds no others
    return {"outcome": outcome, "stop_reason": reason, "confidence": decision.confidence}


def _place(thread: str) -> float:
    """Where in [0, 1) a thread stands: the same in every process, and so for every run of it."""
    return int(hashlib.sha256(f"canary:{thread}".encode()).hexdigest()[:8], 16) / 2**32


def _asked(config: RunnableConfig) -> Mode | None:
    """What this run asks for; a host's context may be of any kind, and a subgraph gets it as it is."""
    asked: Any = config.get("configurable", {}).get(_KEY)
    if asked is None:
        context: Any = get_runtime().context
        asked = context.get(_KEY) if isinstance(context, Mapping) else getattr(context, _KEY, None)
    return None if asked is None else _check_mode(asked, f"`{_KEY}`")


def _check_mode(mode: Any, name: str) -> Mode:
    if mode not in get_args(Mode):
        raise ConfigError(f"{name} must be one of {', '.join(get_args(Mode))}, got {mode!r}; pass one of these")
    found: Mode = mode
    return found
