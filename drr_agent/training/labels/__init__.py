"""Labels: who judged an attempt, when, and whose word counts; and the ways to get judgments."""

from drr_agent.training.labels.records import (
    LABEL_ORDER,
    MODEL_KINDS,
    WEAK_KINDS,
    Labeler,
    LabelRecord,
    check_source,
    in_conflict,
    is_source,
    label_kind,
    merge_labels,
    read_label,
    resolve_labels,
    resolve_without,
)

__all__ = [
    "LABEL_ORDER",
    "MODEL_KINDS",
    "WEAK_KINDS",
    "LabelRecord",
    "Labeler",
    "check_source",
    "in_conflict",
    "is_source",
    "label_kind",
    "merge_labels",
    "read_label",
    "resolve_labels",
    "resolve_without",
]
