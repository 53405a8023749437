"""Every verb, in the order in which help lists them."""

# isort: off
from drr_agent.cli import ask, distill, harvest, dataset, label, train, calibrate, evaluate, replay, demo, doctor  # noqa: F401

# isort: on
from drr_agent.cli.app import app

__all__ = ["app"]
