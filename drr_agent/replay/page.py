"""The replay as one page that needs nothing else: no script, no font, no request."""

import re
from collections.abc import Sequence

from drr_agent.evaluation.page import draw_if_possible, fill_template
from drr_agent.evaluation.table import accepts_some
from drr_agent.evaluation.verdict import Word
from drr_agent.replay import wording
from drr_agent.replay.charts import MOST_SIGNALS, Pictures, draw_pictures, letters
from drr_agent.replay.policy_losses import MOST_QUESTIONS
from drr_agent.replay.report import ReplayReport, Slice

_FINDINGS: dict[Word, str] = {
    "use it": "Use it.",
    "shadow it": "Shadow it: run it beside what you use now, and let it decide nothing yet.",
    "do not": "Do not use it.",
}
_UNKNOWN = "Not yet: this log cannot tell."
_KINDS = {"reasoner": "Reasoner", "dataset": "Dataset", "length": "Length of the first rationale"}


def render_page(report: ReplayReport) -> str:
    """The HTML of a replay; without matplotlib it has the tables, and says what brings the pictures.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    nothing: Pictures = {}
    pictures, missing = draw_if_possible(lambda: draw_pictures(report), nothing)
    return fill_template(
        "replay.html.j2",
        home="drr_agent.replay",
        report=report,
        finding=_UNKNOWN if report.verdict.unknown else _FINDINGS[report.verdict.word],
        letters=letters(report),
        pictures=pictures,
        missing=missing,
        slices=_by_kind(report.slices),
        turns=sorted((part for part in report.slices if part.by == "turn"), key=_first_number),
        signals=wording.most_valuable(report.signals),
        wording=wording,
        most=MOST_SIGNALS,
        few=MOST_QUESTIONS,
        some_accepted=accepts_some(policy.chosen.point.accepted for policy in report.policies),
    )


def _by_kind(slices: Sequence[Slice]) -> dict[str, list[Slice]]:
    """The parts of the questions by what they are parts by; one that is the whole says nothing."""
    found = {title: [part for part in slices if part.by == kind] for kind, title in _KINDS.items()}
    lengths = _KINDS["length"]
    found[lengths] = sorted(found[lengths], key=_first_number)
    return {title: parts for title, parts in found.items() if len(parts) > 1}


def _first_number(part: Slice) -> int:
    """That of a slice's name: turns go by number, and lengths from short to long."""
    number = re.match(r"\d+", part.name)
    return int(number[0]) if number else 0
