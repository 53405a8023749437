"""The report of an evaluation: one JSON value that the terminal table, the pictures and the page are made of.

`report.json` holds all that `report.html` shows, so a page can be made again from it, and two reports can be compared.
"""

from itertools import chain, product
from pathlib import Path
from string import ascii_uppercase
from typing import Final, Literal

from pydantic import Field

from drr_agent.evaluation.certification import Certification
from drr_agent.evaluation.records import Count, ReportPart, Share, read_record
from drr_agent.lines import write_whole
from drr_agent.state import StopReason, Verdict

REPORT_FORMAT: Final = 1
"""Version of the report's shape."""

Against = Literal["single_pass", "voting"]


def label(strategy: str, setting: str) -> str:
    """How a strategy in a setting is called in sentences, tables and pictures."""
    return f"{title_of(strategy)} {setting}".strip()


def title_of(strategy: str) -> str:
    """A strategy's name as prose has it."""
    return strategy.replace("_", " ").replace("drr", "DRR")


class TurnResult(ReportPart):
    """How well the accepts of one turn were chosen; see `outcomes.precision_recall_by_turn`."""

    turn: int
    attempts: Count
    accepted: Count
    precision: Share | None
    confidence: Share | None
    recall: Share | None
    left_out: Count


class StrategyResult(ReportPart):
    """What one strategy, in one setting, came to."""

    strategy: str
    setting: str
    """What tells it from the strategy's other settings, such as `k=8`; empty when there is but one."""
    n: Count
    """Runs with a target; an abstention or a failed run among them is not right."""
    accuracy: Share | None
    accuracy_ci: tuple[Share, Share] | None
    """95 %: Wilson's, or a bootstrap over questions where some were asked more than once."""
    mean_turns: float
    mean_calls: float
    """Reasoner calls a run, those of a self-critique and failed ones included."""
    mean_tokens: float | None
    """Input and output tokens a run, over the runs whose every call was metered; `None` when there is none."""
    mean_seconds: float
    """Seconds of a run's think calls, one after the other; a draw that is shared keeps the time it first took."""
    accept_rate: Share
    """Share of the runs that ended because the policy accepted."""
    accepted: Count = 0
    """How many of these have a target."""
    wrong_of_accepted: Share | None = None
    """Of those, the share that is wrong; `None` without any."""
    abstained: Count
    """Runs that withheld their answer, or found none."""
    failed: Count
    """Runs that ended in an error."""
    ungraded: Count
    """Runs without a target; in the means of cost, not in the accuracy."""
    unmetered: Count
    """Runs with a call that reported no tokens."""
    stop_reasons: dict[StopReason, Count]
    turns: dict[int, Count]
    """Runs by how many turns they took."""
    fixed: Count
    """Runs whose first attempt was wrong and whose chosen answer is right."""
    harmed: Count
    """Runs whose first attempt was right and whose chosen answer is wrong."""
    changes_left_out: Count
    """Runs whose first or chosen answer has no label, so that nobody knows."""
    by_turn: list[TurnResult]

    @property
    def label(self) -> str:
        """How it is called in tables and pictures."""
        return label(self.strategy, self.setting)


class Comparison(ReportPart):
    """One strategy against another, or against a mix of others at its own Reasoner calls, over the same questions."""

    strategy: str
    setting: str
    against: Against
    baseline: str
    """What the other side is; for a mix, the share of the questions each setting answers."""
    n: Count
    """Questions that both sides answered."""
    left_out: Count
    """Questions that one side alone was asked."""
    accuracy: Share
    baseline_accuracy: Share
    calls: float
    baseline_calls: float
    difference: float
    difference_ci: tuple[float, float]
    """95 %, paired bootstrap over questions."""
    calls_to_match: float | None
    """Calls at which the baselines, mixed, reach this accuracy; `None` when they do not at any setting tried."""


class Bin(ReportPart):
    """One bin of a reliability diagram."""

    mean_probability: Share
    accuracy: Share
    count: Count


class ScoreHistogram(ReportPart):
    """Scores of right and of wrong attempts, counted in equal-width bins of [0, 1]."""

    right: list[Count]
    wrong: list[Count]


class DMResult(ReportPart):
    """What the DM's scores are worth, over labelled attempts."""

    auroc: Share | None
    within_question_auroc: Share | None
    ece: Share | None
    brier: Share | None
    n: Count
    """Attempts with a score and a label."""
    left_out: Count
    """Attempts without one of them."""
    within_question_auroc_of: dict[str, Share | None]
    """The same for parts of the score, such as `text alone` and `signals alone`."""
    reliability: list[Bin]
    reliability_before: list[Bin] | None
    """Before calibration; `None` when nobody gave those scores."""
    scores: ScoreHistogram


class ExampleAttempt(ReportPart):
    """One attempt of an example."""

    turn: int
    rationale: str
    answer: str | None
    score: Share | None
    verdict: Verdict | None
    right: bool | None
    chosen: bool


class Example(ReportPart):
    """A run worth reading: thinking on changed its outcome."""

    change: Literal["fixed", "harmed"]
    strategy: str
    question: str
    target: str
    attempts: list[ExampleAttempt]


class Environment(ReportPart):
    """What somebody needs to get the same numbers."""

    python: str
    platform: str
    cores: int
    versions: dict[str, str]
    seeds: dict[str, int]
    reasoner: str
    dm: str | None
    dataset: str | None


class Report(ReportPart):
    """An evaluation: strategies side by side on the same questions, and the DM behind the loop."""

    format: Literal[1] = REPORT_FORMAT
    title: str
    created_at: str
    """ISO 8601, UTC."""
    verdict: str
    results: list[StrategyResult]
    comparisons: list[Comparison] = Field(default_factory=list)
    """The first one names the strategy the verdict is about."""
    seen: Count = 0
    """Questions that were left out because the DM had learned from them."""
    certification: Certification | None = None
    """What the DM's certificate says of that strategy; `None` without one."""
    dm: DMResult | None = None
    examples: list[Example] = Field(default_factory=list)
    environment: Environment
    timings: dict[str, float] = Field(default_factory=dict)
    """Wall-clock seconds of each stage."""

    @property
    def subject(self) -> str | None:
        """The label of the strategy the verdict is about."""
        first = next(iter(self.comparisons), None)
        return label(first.strategy, first.setting) if first else None


def letters(report: Report) -> dict[str, StrategyResult]:
    """The results by the letter that stands for each in the table and in the picture, A to Z and then AA to ZZ."""
    names = chain(ascii_uppercase, map("".join, product(ascii_uppercase, repeat=2)))
    return dict(zip(names, report.results, strict=False))


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html`, each whole or not at all.

    Returns:
        The paths of the two.

    Raises:
        MissingExtraError: jinja2, which makes the page, is not installed; the JSON is written by then.
    """
    from drr_agent.evaluation.page import render_page

    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "report.json", folder / "report.html"
    write_whole(data, report.model_dump_json(indent=2) + "\n")
    write_whole(page, render_page(report))
    return data, page


def read_report(path: Path) -> Report:
    """Read a `report.json`.

    Raises:
        DataError: there is no such file, or it is not a report of this format.
    """
    return read_record(path, Report, name="report", version=REPORT_FORMAT, again="evaluate again")
