"""Every verb, in the order in which help lists them."""

from drr_agent.cli import ask, distill, harvest, train, evaluate, demo, doctor  # noqa: F401, I001 - the order of help
from drr_agent.cli.app import app

__all__ = ["app"]
