"""From logs to a DM: distill, harvest, dataset, train, calibrate.

The verbs live in modules of their own name (`from drr_agent.training.distill import distill`); the values that they
give and take can be had here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drr_agent.training.behaviors import Behavior
    from drr_agent.training.consensus import fit_consensus
    from drr_agent.training.dataset import Dataset, load_dataset, require_both_classes
    from drr_agent.training.dataset.writer import write_dataset
    from drr_agent.training.distill import DistillResult
    from drr_agent.training.harvest import HarvestResult

_LAZY = {
    "Behavior": "behaviors",
    "Dataset": "dataset",
    "DistillResult": "distill",
    "HarvestResult": "harvest",
    "fit_consensus": "consensus",
    "load_dataset": "dataset",
    "require_both_classes": "dataset",
    "write_dataset": "dataset.writer",
}

__all__ = [
    "Behavior",
    "Dataset",
    "DistillResult",
    "HarvestResult",
    "fit_consensus",
    "load_dataset",
    "require_both_classes",
    "write_dataset",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for, so that reading a dataset needs no Reasoner and no scipy."""
    if name in _LAZY:
        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
