"""The DM: what it is asked, the model that answers, and the folder it is saved in."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest

if TYPE_CHECKING:
    from drr_agent.dm.calibration import Calibration, fit_calibration
    from drr_agent.dm.classifier import TextClassifier
    from drr_agent.dm.folder import load_dm, read_manifest, save_dm, set_consensus
    from drr_agent.dm.fusion import Fusion, fit_fusion
    from drr_agent.dm.manifest import DMManifest
    from drr_agent.dm.models import SignalDM, TransformersDM

_LAZY = {
    "Calibration": "calibration",
    "DMManifest": "manifest",
    "Fusion": "fusion",
    "SignalDM": "models",
    "TextClassifier": "classifier",
    "TransformersDM": "models",
    "fit_calibration": "calibration",
    "fit_fusion": "fusion",
    "load_dm": "folder",
    "read_manifest": "folder",
    "save_dm": "folder",
    "set_consensus": "folder",
}

__all__ = [
    "Calibration",
    "DMManifest",
    "DiscriminativeModel",
    "Fusion",
    "Score",
    "ScoreRequest",
    "SignalDM",
    "TextClassifier",
    "TransformersDM",
    "fit_calibration",
    "fit_fusion",
    "load_dm",
    "read_manifest",
    "save_dm",
    "set_consensus",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when the name is first asked for."""
    if name in _LAZY:
        return getattr(import_module(f"drr_agent.dm.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
