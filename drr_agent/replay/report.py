"""The record of a replay: one JSON value that the terminal table and any page are made of."""

from pathlib import Path
from typing import Final, Literal

from drr_agent.evaluation.certification import Certification
from drr_agent.evaluation.records import Count, ReportPart, Share, read_record
from drr_agent.evaluation.report import DMResult, Environment, Example, ScoreHistogram
from drr_agent.evaluation.verdict import Verdict
from drr_agent.lines import write_whole
from drr_agent.training.curve_record import Curve

REPLAY_FORMAT: Final = 1
"""Version of the record's shape."""
REPLAY = "replay.json"
PAGE = "replay.html"
IN_SAMPLE: Final = "in sample"
"""Where settings were chosen on the very questions that are reported."""


class Estimate(ReportPart):
    """A figure with its 95 % interval, questions resampled."""

    mean: float
    low: float | None
    high: float | None
    """`None` where the figure has no bound, such as calls to reach an accuracy that some resamples do not reach."""


class Point(ReportPart):
    """A policy in one setting: means over questions."""

    setting: float
    accuracy: Share
    """An abstention is not right."""
    calls: float
    tokens: float | None
    """Over the questions whose every attempt is metered."""
    usd: float | None
    """Over the questions whose every attempt has a price."""
    accepted: Share
    abstained: Share
    reviewed: Share
    accuracy_unreviewed: Share | None = None
    """Over the questions that do not go to review; `None` where all do."""
    wrong_of_accepted: Share | None = None
    """Of the answers accepted, the share that is wrong; `None` without any."""


class FrontierPoint(Point):
    """A point of a frontier, with intervals of what it is drawn by."""

    accuracy_ci: tuple[float, float]
    calls_ci: tuple[float, float]


class TurnRow(ReportPart):
    """What a policy does at one turn, as shares of all questions."""

    turn: int
    reached: Share
    """Asked for this turn."""
    accepted: Share
    stopped: Share
    """Ended here by the policy, without an accept."""
    reviewed: Share
    exhausted: Share
    """Ended here since there was no more turn, in the settings or in the log."""
    abstained: Share
    """Ended here without an answer."""
    precision: Share | None
    """Of the accepted, the share that is right."""


class Chosen(ReportPart):
    """A policy in the setting it is judged in."""

    point: Point
    chosen_on: str
    """`given`, or the split on which the setting was chosen."""
    intervals: dict[str, Estimate]
    """By the names of `Point`'s figures; one that nothing tells is not there."""
    by_turn: list[TurnRow]


class PolicyResult(ReportPart):
    """A policy over its settings."""

    name: str
    label: str
    """In the chosen setting."""
    frontier: list[FrontierPoint]
    chosen: Chosen


class Comparison(ReportPart):
    """The subject against another policy, both in their chosen settings, over the same questions; below 0: less."""

    against: str
    accuracy: Estimate
    p: Share
    """Of no difference in accuracy: paired permutation test over questions."""
    calls: Estimate
    tokens: Estimate | None
    usd: Estimate | None
    calls_to_match: Estimate | None
    """Of the subject, in the mix of its settings that was chosen as as accurate on other questions; `None`: none is."""
    calls_ratio: Estimate | None
    """The same over the other's calls."""
    accuracy_at_calls: Estimate
    """The subject's accuracy, less the other's, in the mix chosen on other questions to cost as many calls."""
    matched_accuracy: Estimate | None = None
    """In the mix of `calls_to_match`, less the other's: by how much the match is missed on these questions."""
    calls_ratio_in_hindsight: Estimate | None = None
    """As `calls_ratio`, with the mix picked on these very questions, which flatters the subject."""


class EqualCost(ReportPart):
    """The subject against the best mix of what votes that costs no more calls; picked on these very questions."""

    baseline: str
    baseline_calls: float
    baseline_accuracy: Share
    accuracy: Estimate
    """The difference."""
    p: Share
    calls_to_match: float | None
    """Calls at which voting reaches the subject's accuracy; `None` when it does not."""


class Slice(ReportPart):
    """The subject on a part of the questions, or the scores of some attempts."""

    by: Literal["reasoner", "dataset", "length", "turn"]
    name: str
    attempts: Count
    right: Share | None
    """Share of these attempts."""
    auroc: Share | None
    """Of their scores."""
    questions: Count | None = None
    """Those of several Reasoners count once each; `None` for a slice of attempts, as what follows."""
    first: float | None = None
    """Accuracy of the first attempt."""
    accuracy: float | None = None
    calls: float | None = None


class Spread(ReportPart):
    """What is lost over several permutations: the mean, the least and the most; below 0: gained."""

    mean: float
    low: float
    high: float


class SignalValue(ReportPart):
    """What is lost when the values of a signal are dealt to other attempts; see `replay.importance`."""

    name: str
    members: list[str]
    """The signal; or several that say much the same, dealt together."""
    known: Share
    """Share of the attempts that have one of them."""
    auroc: Spread | None
    """Within-question AUROC of the score; `None` where no question has both right and wrong attempts."""
    log_loss: Spread
    """Nats an attempt, of the score."""
    accuracy: Spread | None = None
    """Of the DM's own policy in its own setting; `None` for signals of little value, where it is not worked out."""


class Limit(ReportPart):
    """Something that the log cannot tell."""

    kind: str
    count: Count
    text: str


class ReplayReport(ReportPart):
    """What policies would have done on logged attempts."""

    format: Literal[1] = REPLAY_FORMAT
    title: str
    created_at: str
    """ISO 8601, UTC."""
    verdict: Verdict
    subject: str
    """The label of the policy the verdict is about."""
    certification: Certification | None = None
    """What the DM's certificate says of that policy; `None` without one, and for what votes."""
    split: str
    """The part of the log that the figures are of."""
    chosen_on: str
    """The part on which settings, and mixes of them, were chosen; `IN_SAMPLE`: on these very questions."""
    questions: Count
    attempts: Count
    """Of those questions, within `max_turns` of a reading or not."""
    effective_questions: float
    """As many questions that count alike as would say as much (Kish 1965)."""
    max_turns: int
    orders: Literal["logged", "shuffled"]
    policies: list[PolicyResult]
    """The subject first."""
    comparisons: list[Comparison]
    equal_cost: EqualCost | None
    first: Estimate
    """Accuracy of the first attempt."""
    oracle: Estimate
    """Share of the questions with a right attempt among the turns: what no choice can beat."""
    dm: DMResult | None
    within_question: ScoreHistogram | None
    """Scores at questions with both right and wrong attempts."""
    signals: list[SignalValue]
    """The most valuable first; none without a DM that says what its scores are made of."""
    curve: Curve | None
    """The DM's, where it was trained with one; without the settings of the training."""
    slices: list[Slice]
    examples: list[Example]
    limits: list[Limit]
    environment: Environment
    timings: dict[str, float]
    """Wall-clock seconds of each stage."""


def write_replay(report: ReplayReport, folder: Path) -> Path:
    """Write `replay.json` and the page `replay.html`, each whole or not at all, and give the path of the former.

    Raises:
        MissingExtraError: jinja2, which makes the page, is not installed; the JSON is written by then.
    """
    from drr_agent.replay.page import render_page

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPLAY, report.model_dump_json(indent=2) + "\n")
    write_whole(folder / PAGE, render_page(report))
    return folder / REPLAY


def read_replay(path: Path) -> ReplayReport:
    """Read a `replay.json`.

    Raises:
        DataError: there is no such file, or it is not a replay of this format.
    """
    return read_record(path, ReplayReport, name="replay", version=REPLAY_FORMAT, again="replay again")
