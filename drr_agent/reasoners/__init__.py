"""Reasoners: any chat model by one string, and any causal language model in this process.

Importing this package loads neither torch nor transformers.
"""

from drr_agent.reasoners.local import LocalReasoner
from drr_agent.reasoners.resolve import create_reasoner, describe_reasoner

__all__ = ["LocalReasoner", "create_reasoner", "describe_reasoner"]
