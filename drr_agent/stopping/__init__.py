"""When to stop: what each answer of a run is worth believing, what one more turn is worth, and the policy of both."""

from drr_agent.stopping.policy import StoppingModel, StoppingPolicy

__all__ = ["StoppingModel", "StoppingPolicy"]
