"""A dataset: behaviors on disk, split by question, counted and checked."""

from drr_agent.training.dataset.folder import DEFAULT_FRACTIONS, Dataset, load_dataset, require_both_classes

__all__ = ["DEFAULT_FRACTIONS", "Dataset", "load_dataset", "require_both_classes"]
