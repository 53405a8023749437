"""The graph factories."""

from drr_agent.graphs.baselines import BASELINES, create_baseline
from drr_agent.graphs.drr import create_drr_graph

__all__ = ["BASELINES", "create_baseline", "create_drr_graph"]
