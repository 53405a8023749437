"""Figures that the README and the docs quote; each module prints its own, beside its peer, from one run."""
