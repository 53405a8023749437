"""The four nodes of the loop, one file each: begin, think, score, decide; and review, where one is wired."""

from drr_agent.nodes.begin import Begin
from drr_agent.nodes.decide import Decide
from drr_agent.nodes.review import ReviewNode
from drr_agent.nodes.score import ScoreNode
from drr_agent.nodes.think import Think

__all__ = ["Begin", "Decide", "ReviewNode", "ScoreNode", "Think"]
