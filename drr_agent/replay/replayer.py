"""Replay: what policies would have done on logged attempts, with intervals, and whether to use the first of them.

report = replay(dataset.rows("test"), dm, choose_on=dataset.rows("calibration"))
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tqdm import tqdm

from drr_agent.dm.protocol import DiscriminativeModel, Score
from drr_agent.errors import DataError
from drr_agent.grading import Grader, get_grader
from drr_agent.policy import MajorityPolicy
from drr_agent.prices import Prices, find_prices
from drr_agent.questions import unit_of
from drr_agent.replay.certified import certification_of
from drr_agent.replay.compare import Side
from drr_agent.replay.config import ReplayConfig
from drr_agent.replay.forms import AdaptiveFamily
from drr_agent.replay.frontier import choose, measure, trace
from drr_agent.replay.importance import signal_values
from drr_agent.replay.paths import end, suggest_settings
from drr_agent.replay.readings import Readings
from drr_agent.replay.record import Shown, make_record
from drr_agent.replay.report import IN_SAMPLE, ReplayReport
from drr_agent.replay.resampling import Resampler
from drr_agent.replay.scores import score_rows
from drr_agent.replay.specs import Candidate, Frame
from drr_agent.training.behaviors import Behavior, is_labelled
from drr_agent.training.logged import label_questions
from drr_agent.training.weights import read_rows

_MOST_PAIRS = 2**18
"""Pairs of answers held at once; those of a question come one after the other."""


@dataclass(frozen=True, kw_only=True)
class _Replayer:
    """What the steps of one replay share."""

    dm: DiscriminativeModel | None
    config: ReplayConfig
    grader: Grader
    prices: Prices
    timings: dict[str, float] = field(default_factory=dict)

    def read(self, rows: Sequence[Behavior], *, fresh: bool) -> Shown:
        """Score and label rows, and read their questions; those that the DM has learned from only where told."""
        kept, seen = _unseen(rows, self.dm) if fresh else (rows, 0)
        clock = time.monotonic()
        scores: dict[str, Score] = {}
        if self.dm is not None:
            scores = score_rows(kept, self.dm, cache=self.config.cache, progress=self.config.progress)
        self.timings["score"] = round(self.timings.get("score", 0.0) + time.monotonic() - clock, 2)
        log = label_questions(kept, scores)
        readings = Readings.of(
            log.questions,
            max_turns=self.config.max_turns,
            orders=self.config.orders,
            grader=self.grader,
            price=lambda question, attempt: self.prices.of(question.key[-1] if question.key else "", attempt),
            seed=self.config.seed,
        )
        return Shown(rows=kept, seen=seen, log=log, readings=readings)

    def budget(self, readings: Readings) -> float:
        """Mean calls within which settings are chosen."""
        if self.config.mean_calls is not None:
            return self.config.mean_calls
        adaptive = AdaptiveFamily(policy=MajorityPolicy(grader=self.grader))
        calls = measure(end(adaptive.walk(readings), 0.95, readings), readings).means()["calls"]
        assert calls is not None  # readings have weights
        return calls

    def sides(self, candidates: Sequence[Candidate], learn: Readings, show: Readings) -> list[Side]:
        """Every policy, in the same resamples."""
        budget, units = self.budget(learn), len(show.units.weights)
        resampler = Resampler(units=units, seed=self.config.seed, resamples=self.config.resamples)
        bar = tqdm(candidates, "replay", unit=" policies", disable=None if self.config.progress else True)
        return [self.side(one, learn, show, budget, resampler) for one in bar]

    def side(self, candidate: Candidate, learn: Readings, show: Readings, budget: float, resampler: Resampler) -> Side:
        """A policy in its given setting, or in the one that does best where settings are chosen."""
        family, given = candidate
        settings = family.settings or suggest_settings(family.walk(learn), learn, default=given)
        settings = settings if given is None else sorted({*settings, given})
        shown = trace(family, show, settings)
        learned = None if learn is show else trace(family, learn, settings)
        setting = given
        if setting is None:
            setting = settings[choose(shown if learned is None else learned, mean_calls=budget)]
        return Side(
            label=family.label(setting),
            setting=setting,
            sums=measure(end(shown.walk, setting, show), show),
            frontier=shown,
            resampler=resampler,
            learned=learned,
        )


def replay(
    rows: Sequence[Behavior],
    dm: DiscriminativeModel | None,
    *,
    choose_on: Sequence[Behavior] | None = None,
    config: ReplayConfig | None = None,
) -> ReplayReport:
    """Tell what policies would have done on logged attempts.

    Args:
        rows: labelled attempts to report on. Questions that the DM has learned from are left out.
        dm: scores them; `None` for policies that look at no score.
        choose_on: attempts at other questions, to choose settings on; without labelled ones they are chosen on `rows`,
            in sample, which is told.
        config: the settings.

    Raises:
        ConfigError: a policy or a setting that cannot work.
        DataError: nothing is left to replay.
    """
    config = ReplayConfig() if config is None else config
    grader = _remembering(get_grader(config.grader))
    turns = min(config.max_turns, _longest(rows))
    frame = Frame(dm=dm, grader=grader, max_turns=turns, asked_turns=config.max_turns)
    candidates = _candidates(frame, config)
    names = sorted({row["reasoner"] for row in rows})
    prices = find_prices(names, price_in=config.price_in, price_out=config.price_out)
    replayer = _Replayer(dm=dm, config=config, grader=grader, prices=prices)
    shown = replayer.read(rows, fresh=True)
    asked = {unit_of(row["question_key"]) for row in rows}
    elsewhere = [row for row in choose_on or () if unit_of(row["question_key"]) not in asked]
    apart = any(is_labelled(row) for row in elsewhere)
    learned = replayer.read(elsewhere, fresh=False) if apart else shown
    clock = time.monotonic()
    sides = replayer.sides(candidates, learned.readings, shown.readings)
    replayer.timings["replay"] = round(time.monotonic() - clock, 2)
    clock = time.monotonic()
    signals = signal_values(shown.readings, dm, None if dm is None else frame.candidate("drr"), seed=config.seed)
    replayer.timings["signals"] = round(time.monotonic() - clock, 2)
    clock = time.monotonic()
    report = make_record(
        shown,
        sides,
        [candidate.setting is not None for candidate in candidates],
        config=config,
        dm=dm,
        signals=signals,
        prices=prices,
        chosen_on=config.chosen_on if apart else IN_SAMPLE,
    )
    replayer.timings["record"] = round(time.monotonic() - clock, 2)
    found = certification_of(sides[0], shown.rows, dm, max_turns=config.max_turns, longest=turns)
    return report.model_copy(update={"timings": replayer.timings, "certification": found})


def _candidates(frame: Frame, config: ReplayConfig) -> list[Candidate]:
    """The policies, the subject first, and what would be used instead: never the subject, always one attempt."""
    policies = [frame.candidate(given) for given in config.policies]
    rivals = [rival for rival in map(frame.candidate, config.against) if rival != policies[0]]
    single = [] if any(rival.family.name == "single" for rival in rivals) else [frame.candidate("single")]
    return [*policies, *single, *rivals]


def _remembering(grader: Grader) -> Grader:
    """The same equality, worked out once a pair: policies that are played compare the same answers again and again."""
    return replace(grader, same=lru_cache(maxsize=_MOST_PAIRS)(grader.same))


def _longest(rows: Sequence[Behavior]) -> int:
    """Attempts of the longest reading: no policy can be told from one with fewer turns beyond."""
    return max((len(reading.rows) for reading in read_rows(rows)), default=1)


def _unseen(rows: Sequence[Behavior], dm: DiscriminativeModel | None) -> tuple[list[Behavior], int]:
    """The rows whose questions the DM has not learned from, as far as it knows, and how many questions it has."""
    known = {unit_of(key) for key in getattr(dm, "seen", frozenset())}
    kept = [row for row in rows if unit_of(row["question_key"]) not in known]
    if rows and not kept:
        raise DataError(
            f"expected questions that the DM was not trained or calibrated on, got {len(rows)} attempts at others; "
            "give another split or another log"
        )
    return kept, len({row["question_key"] for row in rows} - {row["question_key"] for row in kept})
