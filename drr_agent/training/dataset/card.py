"""The card of a dataset: what is in it, how it came about, and what it cannot tell; as Hugging Face reads it."""

from collections.abc import Iterable, Mapping
from typing import Any

from drr_agent.training.behaviors import SPLITS
from drr_agent.training.dataset.manifest import Manifest, SplitCounts
from drr_agent.training.labels import LABEL_ORDER


def dataset_card(manifest: Manifest) -> str:
    """The `README.md` of a dataset, in Markdown, with the front matter that lets `datasets` load its splits."""
    files = "\n".join(f"  - split: {split}\n    path: {manifest.files[split].name}" for split in SPLITS)
    return f"""---
configs:
- config_name: default
  data_files:
{files}
---

# Behaviors

{manifest.count:,} logged attempts of {_names(manifest.reasoners)} at {_questions(manifest):,} questions,
one attempt a row, harvested by drr_agent to train a DM: does this attempt answer its question right?
Digest `{manifest.digest}`.

## Splits

Questions that differ only in case, space and punctuation are one question, and a question is in one split, by its hash.

{_table("split", dict(manifest.splits))}

## Turns

{_table("turn", dict(manifest.turns))}

## Labels

What counts of several judgments is that of the first of these: {", ".join(LABEL_ORDER)}; of one kind, the latest.

{_list(manifest.label_sources)}

Sources contradict each other in {manifest.conflicts:,} rows. {manifest.weak:,} labels are weak: agreement of attempts,
which nobody judged. They train only when asked to.

## How the attempts came to be logged

{_list(manifest.origins)}

**Selection bias.** {_bias(manifest)}

{manifest.copies:,} rows say exactly what another attempt at their question says; they stay, since agreement counts
them (`copies`).

## Texts

Redacted: {manifest.redaction}. Capture: {manifest.capture}.

## Sources

{_sources(manifest)}
"""


def _names(counts: Mapping[str, int]) -> str:
    return ", ".join(f"`{_one_line(name)}`" for name in counts)


def _questions(manifest: Manifest) -> int:
    return sum(split.questions for split in manifest.splits.values())


def _table(what: str, parts: Mapping[Any, SplitCounts]) -> str:
    lines = [f"| {what} | questions | rows | right | wrong | no label | share right |", "|---|" + "---:|" * 6]
    for name, part in parts.items():
        share = "–" if part.balance is None else f"{part.balance:.3f}"
        counts = (part.questions, part.rows, part.correct, part.incorrect, part.unlabeled)
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in counts)} | {share} |")
    return "\n".join(lines)


def _list(counts: Mapping[str, int]) -> str:
    return "\n".join(f"- {_one_line(name)}: {count:,}" for name, count in counts.items())


def _bias(manifest: Manifest) -> str:
    accepted, stopped, reviewed = (manifest.verdicts.get(end, 0) for end in ("accept", "stop", "review"))
    explored = manifest.origins.get("explored", 0)
    if not accepted + stopped + reviewed:
        return "No policy ended a run early when these attempts were made."
    return (
        f"Of the attempts, {accepted:,} were accepted when they were made, {stopped:,} stopped their run, and "
        f"{reviewed:,} sent it to review. That ends a run unless the graph explores: what would have come after is not "
        f"here, but for {explored:,} attempts made to explore, whose `propensity` is the rate of exploring."
    )


def _sources(manifest: Manifest) -> str:
    lines: Iterable[str] = (
        f"- `{_one_line(source.location)}` ({source.kind}, SHA-256 `{source.sha256[:12]}…`): {source.read:,} read, "
        f"{source.filtered:,} filtered out, {source.kept:,} kept, {sum(source.dropped.values()):,} dropped"
        for source in manifest.sources
    )
    return "\n".join(lines) or "Rows that a program gave."


def _one_line(name: str) -> str:
    """A name out of somebody's log, which ends neither its line nor its quotes."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in name.replace("`", "'")).split())
