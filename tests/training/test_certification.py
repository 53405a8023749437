"""Certification: from a log to a promise, and what a log must be for it."""

import collections
import itertools
import math
import random
from dataclasses import replace

import pytest
from fakes import make_attempt
from simulated import simulate
from stopping.models import BY_SCORE, stopping_model
from training.synthetic import make_behavior

from drr_agent.dm.calibration import SigmoidCalibration
from drr_agent.dm.certificate import Certificate
from drr_agent.dm.folder import load_dm, read_manifest, save_dm, update_manifest
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.learned import QUESTIONS, add_questions
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.terms import Term
from drr_agent.errors import ConfigError, DataError
from drr_agent.policy import ConsensusPolicy, Decision, ThresholdPolicy
from drr_agent.questions import question_key, unit_of
from drr_agent.stopping import StoppingPolicy
from drr_agent.training.behaviors import with_labels
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.certification import Terms, certify_dm, certify_half
from drr_agent.training.certify import Certified
from drr_agent.training.independence import halves, one_run_each
from drr_agent.training.labels.queue import LabelQueue
from drr_agent.training.logged import LabelledQuestion
from drr_agent.training.outcomes import certify_policy, outcomes, play_out
from drr_agent.training.refusal import Refusal
from drr_agent.training.threshold import calibrate_consensus

TERMS = Terms(target_error=0.2, confidence=0.95, max_turns=4)


def question(*scores, labels=None, **changes):
    """Attempts with these scores, each answer right unless told otherwise; `None` is an attempt without an answer."""
    attempts = [
        make_attempt(None if score is None else str(place), score, turn=place + 1) for place, score in enumerate(scores)
    ]
    said = ["correct"] * len(scores) if labels is None else labels
    return LabelledQuestion(
        attempts, [None if s is None else label for s, label in zip(scores, said, strict=True)]
    )._replace(**changes)


class _Ends:
    """Ends every run at once, with one outcome."""

    abstain_below = 0.0

    def __init__(self, outcome, choice=0, **changes):
        self.decision = Decision(outcome, choice, 1.0)._replace(**changes)

    def decide(self, attempts):
        return self.decision


def stops_late(threshold):
    """Learned: another turn pays while an answer is not sure."""
    return StoppingPolicy(model=stopping_model(), accept_at=threshold)


@pytest.mark.parametrize(
    ("run", "at", "expected"),
    [
        pytest.param(question(0.9), ThresholdPolicy, (True, True), id="right"),
        pytest.param(question(0.9, labels=["incorrect"]), ThresholdPolicy, (True, False), id="wrong"),
        pytest.param(question(0.2, 0.9, labels=["correct", "incorrect"]), ThresholdPolicy, (True, False), id="later"),
        pytest.param(question(0.2, 0.3), ThresholdPolicy, (False, False), id="never accepted"),
        pytest.param(question(0.2, 0.3, 0.9), ThresholdPolicy, (False, False), id="accepted too late"),
        pytest.param(question(0.2), ThresholdPolicy, (True, False), id="who knows: the worst"),
        pytest.param(question(None, None), ConsensusPolicy, (False, False), id="no answer"),
        pytest.param(question(None, None), lambda threshold: _Ends("accept"), (False, False), id="accepts no answer"),
        pytest.param(question(0.9), lambda threshold: _Ends("accept", None), (False, False), id="accepts nothing"),
        pytest.param(question(0.9), lambda threshold: _Ends("stop"), (False, False), id="stopped"),
        pytest.param(question(0.9), lambda threshold: _Ends("review"), (False, False), id="to review"),
    ],
)
def test_what_counts_as_an_accept(run, at, expected):
    accepted, right = outcomes([run], lambda cutoff: at(threshold=cutoff), [0.8], 2)
    assert (bool(accepted[0, 0]), bool(right[0, 0])) == expected


@pytest.mark.parametrize(
    ("run", "at", "unfinished"),
    [
        pytest.param(question(0.2), ThresholdPolicy, True, id="would go on"),
        pytest.param(question(0.9), ThresholdPolicy, False, id="accepts before"),
        pytest.param(question(0.2, 0.3), ThresholdPolicy, False, id="as long as any"),
        pytest.param(question(0.2), lambda threshold: _Ends("stop"), False, id="stops before"),
        pytest.param(question(0.2), lambda threshold: _Ends("continue", exhausted="accept"), True, id="would settle"),
        pytest.param(question(0.2), lambda threshold: _Ends("continue", exhausted="review"), True, id="or be reviewed"),
        pytest.param(question(0.2), stops_late, True, id="learned, would go on"),
        pytest.param(question(0.9, 0.9), stops_late, False, id="learned, ends"),
    ],
)
def test_a_run_that_would_go_on_after_its_log_ends_is_told(run, at, unfinished):
    accepted, right, found = play_out([run], lambda cutoff: at(threshold=cutoff), [0.8], 2)
    assert bool(found[0, 0]) == unfinished
    assert not unfinished or (accepted[0, 0] and not right[0, 0]), "and counts as the worst"


def test_coverage_is_of_what_is_known():
    """Of 200 runs, 10 are too short to tell: they weigh against the promise, and are no part of what it covers."""
    log = [question(0.95, 0.95) for _ in range(150)] + [question(0.1, 0.1) for _ in range(40)]
    log += [question(0.1) for _ in range(10)]
    found = certify_policy(
        log, lambda cutoff: ThresholdPolicy(threshold=cutoff), [0.5], max_turns=2, target_error=0.15, confidence=0.95
    )
    assert (found.accepted, found.wrong, found.unfinished, found.coverage) == (150, 0, 10, 0.75)
    assert found.coverage_ci[1] > 160 / 200


def test_a_simulated_log_is_certified_and_the_order_helps():
    settings = {"max_turns": 8, "target_error": 0.2, "confidence": 0.95}
    cutoffs = [round(0.05 * step, 2) for step in range(8, 20)]

    def at(cutoff):
        return ConsensusPolicy(threshold=cutoff)

    found = certify_policy(simulate(300, seed=1), at, cutoffs, other=simulate(300, seed=2), **settings)
    assert isinstance(found, Certified)
    accepted, right = outcomes(simulate(1000, seed=3), at, [found.cutoff], 8)
    assert (accepted & ~right).sum() / accepted.sum() <= 0.2
    assert found.coverage == pytest.approx(accepted.mean(), abs=0.1)


def test_short_runs_are_told_of():
    short = [question(0.1) for _ in range(100)]
    found = certify_policy(
        short, lambda cutoff: ThresholdPolicy(threshold=cutoff), [0.5], max_turns=2, target_error=0.05, confidence=0.95
    )
    assert isinstance(found, Refusal)
    assert "100 of 100 runs have fewer than 2 attempts" in found.reason


def runs(question_key, *weights, reasoner="a"):
    return [question(0.9, key=(question_key, "", reasoner), weight=weight) for weight in weights]


def test_one_run_a_question():
    log = [run for number in range(50) for run in runs(f"q{number}", 0.5, 0.5) + runs(f"q{number}", 1.0, reasoner="b")]
    kept = one_run_each(log)
    assert sorted(run.key[0] for run in kept) == sorted({run.key[0] for run in log})
    assert {run.key[2] for run in kept} == {"a", "b"}, "a draw, not the first"
    assert one_run_each(log) == kept, "the same each time"


def test_near_duplicates_are_one_question():
    keys = [question_key(f"What is {number} {sign} 1?") for number in range(50) for sign in ("+", "-")]
    kept = one_run_each([run for key in keys for run in runs(key, 1.0)])
    assert len(kept) == 50
    assert len({unit_of(run.key[0]) for run in kept}) == 50


def test_questions_without_a_key_are_their_own():
    assert len(one_run_each([question(0.9) for _ in range(5)])) == 5


def test_a_weighted_log_is_thinned_by_its_weights():
    """Half weigh 4, half weigh 1: of the light ones a quarter stays, and who stays has nothing to do with order."""
    log = [run for number in range(2000) for run in runs(f"q{number}", 4.0 if number % 2 else 1.0)]
    kept = collections.Counter(run.weight for run in one_run_each(log))
    assert kept[4.0] == 1000
    assert kept[1.0] == pytest.approx(250, abs=3 * math.sqrt(1000 * 0.25 * 0.75))


def test_of_runs_at_one_question_the_heavy_stands_more_often():
    log = [run for number in range(1000) for run in runs(f"q{number}", 0.75, 0.25)]
    heavy = sum(run.weight == 0.75 for run in one_run_each(log))
    assert heavy == pytest.approx(750, abs=3 * math.sqrt(1000 * 0.75 * 0.25))


@pytest.mark.parametrize(
    ("feedback", "kept"),
    [
        pytest.param(["first", "first", "first", "first"], 4, id="draws are one run"),
        pytest.param(["first", "fresh", "first", "no_answer"], 4, id="which knew of no rejection"),
        pytest.param(["first", "history", "first", "history"], 2, id="a sequence is a run of its own"),
    ],
)
def test_draws_of_one_question(feedback, kept):
    run = question(0.1, 0.2, 0.3, 0.4, draws=[0, 0, 1, 1], key=("q", "", "a"))
    attempts = [{**attempt, "feedback": kind} for attempt, kind in zip(run.attempts, feedback, strict=True)]
    (one,) = one_run_each([run._replace(attempts=attempts)])
    assert len(one.attempts) == len(one.labels) == len(one.draws) == kept
    assert len(set(one.draws)) == (2 if kept == 4 else 1)


def behaviors(count, *, attempts=4, seed=0, signal="confidence", **changes):
    """Questions with a signal that tells right from wrong well, but not perfectly."""
    generator, rows = random.Random(seed), []
    for number in range(count):
        skill = generator.choice([0.3, 0.9])
        for draw in range(attempts):
            right = generator.random() < skill
            rows.append(
                make_behavior(
                    f"{seed} question {number}",
                    id=f"{seed}-{number}:{draw}",
                    run_id=f"{seed}-{number}-{draw}",
                    answer="two" if right else f"other {generator.randint(1, 50)}",
                    label="correct" if right else "incorrect",
                    draw=draw,
                    signals={signal: generator.gauss(2.0 if right else 0.0, 1.0)},
                    **changes,
                )
            )
    return rows


@pytest.fixture
def dm(tmp_path):
    """A DM of the one signal, as if trained on questions of its own."""
    term = Term(name="confidence", unit=1.0, center=0.0, scale=1.0, weight=2.0)
    manifest = DMManifest(
        inputs="signals",
        text=None,
        fusion=Fusion(text=None, signals=(term,), intercept=-1.0, regularization=1.0),
        calibration=SigmoidCalibration(kind="temperature", slope=1.0, intercept=0.0),
        calibrated_on="validation",
    )
    save_dm(tmp_path / "dm", manifest)
    return tmp_path / "dm"


def fit_to(path, seen):
    def fit(rows):
        seen.append(rows)
        calibrate_dm(path, rows, progress=False)
        return calibrate_consensus(path, rows, max_turns=4)

    return fit


def certify_on(dm, rows, terms=TERMS):
    seen = []
    promise, _ = certify_half(dm, rows, fit_to(dm, seen), terms, dataset="d" * 12)
    return promise, seen


def test_halves_share_no_question_and_stay_as_a_log_grows():
    rows = behaviors(200)
    fitting, certifying = halves(rows)
    keys = [{row["question_key"] for row in part} for part in (fitting, certifying)]
    assert keys[0].isdisjoint(keys[1])
    assert len(fitting) + len(certifying) == len(rows)
    assert min(map(len, keys)) > 70
    assert halves(rows[:400])[0] == [row for row in fitting if row in rows[:400]]


def test_a_certificate_is_stored_with_what_it_depends_on(dm):
    rows = behaviors(400)
    promise, seen = certify_on(dm, rows)
    manifest, loaded = read_manifest(dm), load_dm(dm)
    assert manifest.certificates == (promise,)
    assert promise.depends_on.model_dump() == {
        "dm": loaded.digest,
        "policy": repr(loaded.consensus),
        "prompts": ("0123456789ab",),
        "reasoners": ("tiny",),
        "feedback": ("fresh",),
        "dataset": "d" * 12,
    }
    assert loaded.consensus.threshold == promise.threshold
    assert promise.questions == len({unit_of(row["question_key"]) for row in halves(rows)[1]})
    assert (promise.max_turns, promise.judged_share, promise.wrong <= promise.accepted) == (4, 0.0, True)
    assert promise.error_bound <= 0.2
    assert seen == [halves(rows)[0]], "what certifies was never fitted to"
    assert {row["question_key"] for row in rows} <= loaded.seen, "an evaluation leaves all of them out"


def test_thirty_labels_are_refused_by_what_they_show(dm):
    rows = behaviors(30)
    promise, seen = certify_on(dm, rows, Terms(target_error=0.05, confidence=0.95, max_turns=4))
    assert isinstance(promise, Refusal)
    assert promise.needed == promise.more + 30
    assert "30 labelled questions" in promise.reason
    assert "accepted answers are wrong" in promise.reason, "and not as if all were right"
    assert seen == [halves(rows)[0]]
    assert read_manifest(dm).certificates == ()


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(lambda row: "correct", id="all right, which nothing can be fitted to"),
        pytest.param(lambda row: None if row["draw"] else row["label"], id="no run judged in full"),
    ],
)
def test_labels_too_few_to_fit_to_are_refused_by_their_number(dm, labels):
    rows = [with_label(row, labels(row)) for row in behaviors(30)]
    promise, _ = certify_on(dm, rows, Terms(target_error=0.05, confidence=0.95, max_turns=4))
    assert isinstance(promise, Refusal)
    assert (promise.at_least, promise.needed == promise.more + 30) == (True, True)
    assert "at least" in promise.reason


def with_label(row, value):
    said = [] if value is None else [{"value": value, "source": "human", "at": None}]
    return with_labels(row, said)


def at_random(rows, count):
    """Labels for the first questions in the order of `drr label --order random`."""
    with LabelQueue(sorted(rows, key=lambda row: row["question_key"]), threshold=None) as queue:
        asked = list(dict.fromkeys(candidate.row["question_key"] for candidate in queue))[:count]
    return {row["id"] for row in rows if row["question_key"] in asked}


def by_own_lot(rows, count):
    """Labels for questions that somebody drew in their own way."""
    keys = sorted({row["question_key"] for row in rows})
    drawn = set(random.Random(5).sample(keys, count))
    return {row["id"] for row in rows if row["question_key"] in drawn}


def by_score(rows, count):
    """Labels by the informative order, as the signal that the DM scores by would have it."""
    opened = sorted((with_label(row, None) for row in rows), key=lambda row: row["question_key"])
    scorer = lambda batch: [1 / (1 + math.exp(1 - 2 * row["signals"]["confidence"])) for row in batch]  # noqa: E731
    with LabelQueue(opened, threshold=0.9, scorer=scorer) as queue:
        return {candidate.row["id"] for candidate in itertools.islice(queue, count)}


def only(rows, kept):
    return [row if row["id"] in kept else with_label(row, None) for row in rows]


def unlabelled(rows):
    return [with_label(row, None) for row in rows]


def test_the_first_in_random_order_are_a_sample_like_any_other(dm):
    rows = behaviors(1500)
    promise, _ = certify_on(dm, only(rows, at_random(unlabelled(rows), 400)))
    assert isinstance(promise, Certificate)
    assert promise.questions == pytest.approx(200, abs=40)
    assert (promise.unjudged_share, promise.set_aside) == (0.0, 0)
    assert "nobody judged" not in promise.sentence


def test_some_that_are_skipped_are_told_of(dm):
    rows = behaviors(1500)
    kept = at_random(unlabelled(rows), 400)
    keys = sorted({row["question_key"] for row in rows if row["id"] in kept})
    skipped = set(keys[::40])
    promise, _ = certify_on(dm, only(rows, {row["id"] for row in rows if row["id"] in kept} - {
        row["id"] for row in rows if row["question_key"] in skipped}))  # fmt: skip
    assert isinstance(promise, Certificate)
    assert 0.0 < promise.unjudged_share <= 0.05
    assert "% of the runs have an answer that nobody judged" in promise.sentence
    assert "nobody judged, which counts as wrong" in promise.sentence


def test_who_skips_what_is_wrong_gains_nothing_by_it(dm):
    """Left without a label, the wrong answers that the DM is surest of count as wrong all the same."""
    rows = behaviors(1500, attempts=1)
    kept = at_random(unlabelled(rows), 400)
    wrong = [row for row in rows if row["id"] in kept and row["label"] == "incorrect"]
    skipped = {row["id"] for row in sorted(wrong, key=lambda row: -row["signals"]["confidence"])[:12]}
    terms = Terms(target_error=0.2, confidence=0.9, max_turns=1)
    honest, hidden = (certify_on(dm, only(rows, some), terms)[0] for some in (kept, kept - skipped))
    assert hidden.coverage <= honest.coverage


def test_a_sample_that_somebody_drew_is_certified_where_they_vouch_for_it_and_told_of(dm):
    drawn = only(behaviors(1500), by_own_lot(behaviors(1500), 500))
    refusal, _ = certify_on(dm, drawn)
    assert isinstance(refusal, Refusal)
    assert "If it did, say so (`--drawn-at-random`)" in refusal.reason
    promise, _ = certify_on(dm, drawn, replace(TERMS, drawn=True))
    assert isinstance(promise, Certificate)
    assert promise.unjudged_share == pytest.approx(2 / 3, abs=0.05)
    assert "have an answer that nobody judged, so it is about runs like those that were labelled" in promise.sentence


def test_labels_that_plainly_are_no_sample_are_refused_whoever_vouches(dm):
    rows = behaviors(1500, attempts=1)
    promise, _ = certify_on(dm, only(rows, by_score(rows, 500)), replace(TERMS, drawn=True))
    assert isinstance(promise, Refusal)
    assert "their scores differ" in promise.reason


def test_labels_in_the_informative_order_are_refused(dm):
    rows = behaviors(1500, attempts=1)
    promise, _ = certify_on(dm, only(rows, by_score(rows, 500)))
    assert isinstance(promise, Refusal)
    assert "no fair sample: their scores differ" in promise.reason
    assert "`drr label --order random`" in promise.reason
    assert promise.needed is None


def test_labels_at_random_on_top_of_informative_ones_certify_and_those_beyond_are_set_aside(dm):
    rows = behaviors(1500, attempts=1)
    informative = by_score(rows, 300)
    left = [with_label(row, None) if row["id"] not in informative else row for row in rows]
    promise, _ = certify_on(dm, only(rows, informative | at_random(left, 500)))
    assert isinstance(promise, Certificate)
    assert promise.unjudged_share == pytest.approx(0.0, abs=0.051)
    assert promise.set_aside > 50
    assert f"{promise.set_aside} judged runs are not used" in promise.sentence


def test_the_refusal_of_a_sample_tells_of_judged_runs_that_it_does_not_use(dm):
    rows = behaviors(1500, attempts=1)
    informative = by_score(rows, 300)
    left = [with_label(row, None) if row["id"] not in informative else row for row in rows]
    labelled = only(rows, informative | at_random(left, 500))
    promise, _ = certify_on(dm, labelled, Terms(target_error=0.01, confidence=0.7, max_turns=1))
    assert isinstance(promise, Refusal)
    assert "judged runs are not used, since they may have been chosen" in promise.reason


def test_what_the_log_cannot_tell_is_not_promised(dm):
    """Turns beyond the log are not certified, and a judge's labels and unknown prompts are told."""
    rows = [
        {**row, "label_source": "judge:m"} if place % 2 else row
        for place, row in enumerate(behaviors(400, prompts=None))
    ]
    promise, _ = certify_on(dm, rows, Terms(target_error=0.2, confidence=0.95, max_turns=8))
    assert promise.max_turns == 4
    assert promise.judged_share == pytest.approx(0.5)
    assert promise.depends_on.prompts == (None,)


@pytest.mark.parametrize(
    ("lengths", "max_turns"),
    [
        pytest.param([4] * 190 + [8] * 10, 4, id="a few long runs ask no more of the others"),
        pytest.param([1] * 10 + [4] * 190, 4, id="nor do a few short ones take turns away"),
        pytest.param([1] * 100 + [4] * 100, 1, id="where many are short, they are what is known"),
    ],
)
def test_turns_are_those_that_most_runs_have(dm, lengths, max_turns):
    rows = []
    for number, row in enumerate(behaviors(400, attempts=8)):
        rows += [row] if row["draw"] < lengths[number // 8 % 200] else []
    promise, _ = certify_on(dm, rows, Terms(target_error=0.3, confidence=0.95, max_turns=8))
    assert promise.max_turns == max_turns


def test_the_turns_are_told_by_the_half_that_does_not_certify(dm):
    rows = behaviors(400)
    certifying = {row["question_key"] for row in halves(rows)[1]}
    shorter = [row for row in rows if row["question_key"] in certifying or row["draw"] < 2]
    promise, _ = certify_on(dm, shorter)
    assert promise.max_turns == 2


def test_questions_that_the_dm_was_trained_on_are_left_out_and_told_of(dm):
    rows = behaviors(500)
    keys = list(dict.fromkeys(row["question_key"] for row in rows))
    respelled = [question_key(f"0 question {number}!") for number in range(50)]
    assert {unit_of(key) for key in respelled} == {unit_of(key) for key in keys[:50]}
    add_questions(dm, respelled)
    promise, seen = certify_on(dm, rows)
    fresh = [row for row in rows if row["question_key"] in keys[50:]]
    assert promise.left_out == 50
    assert promise.questions == len({row["question_key"] for row in halves(fresh)[1]})
    assert seen == [halves(fresh)[0]], "nor is anything fitted to them"
    assert "50" in promise.sentence
    assert load_dm(dm).trained == set(respelled)


def test_where_the_dm_was_trained_on_all_of_them_nothing_is_promised(dm):
    rows = behaviors(300)
    add_questions(dm, [row["question_key"] for row in rows])
    promise, seen = certify_on(dm, rows)
    assert isinstance(promise, Refusal)
    assert "300 more are left out: the DM was trained on them" in promise.reason
    assert seen == []


def test_rows_that_the_dm_was_trained_on_certify_nothing(dm):
    rows = behaviors(300)
    fitting, certifying = halves(rows)
    fit_to(dm, [])(fitting)
    add_questions(dm, sorted({row["question_key"] for row in certifying})[:7])
    with pytest.raises(DataError, match=r"not trained on, got 7 of \d+ that it was.*leave them out"):
        certify_dm(dm, certifying, TERMS, other=fitting)
    assert read_manifest(dm).certificates == ()


def test_what_it_was_calibrated_on_certifies_as_if_for_the_first_time(dm):
    rows = behaviors(400)
    first, _ = certify_on(dm, rows)
    calibrate_dm(dm, rows, progress=False)
    calibrate_dm(dm, rows, progress=False)
    again, _ = certify_on(dm, rows)
    assert again == first
    assert again.left_out == 0


def test_what_an_earlier_calibration_learned_of_the_certifying_half_is_dropped(dm):
    old = SigmoidCalibration(kind="platt", slope=2.0, intercept=3.0)
    model = stopping_model(BY_SCORE.model_copy(update={"calibration": old}))
    update_manifest(dm, stopping={"model": model.model_dump(), "worth": 7.0})
    found = []

    def fit(rows):
        found.append(read_manifest(dm).stopping)
        fit_to(dm, [])(rows)

    certify_half(dm, behaviors(400), fit, TERMS)
    (stopping,) = found
    assert stopping.model.answers.calibration is None
    assert stopping.model == stopping_model()
    assert stopping.worth == 7.0


def test_a_folder_that_does_not_tell_what_it_was_trained_on_is_believed(dm):
    """One of an older version: its questions are those of training and calibration alike."""
    rows = behaviors(400)
    (dm / QUESTIONS).write_text("".join(f"{row['question_key']}\n" for row in rows))
    promise, _ = certify_on(dm, rows)
    assert isinstance(promise, Certificate)
    assert promise.left_out == 0


def test_weak_labels_never_certify(dm):
    rows = behaviors(400)
    certifying = {row["question_key"] for row in halves(rows)[1]}
    weakened = [
        {**row, "label_source": "agreement:majority"} if row["question_key"] in certifying else row for row in rows
    ]
    promise, _ = certify_on(dm, weakened)
    assert isinstance(promise, Refusal)


def live(rows, *, explored):
    """The rows as runs in use that accepted their first attempt: some explored the rest, others were cut off."""
    shown = []
    for row in rows:
        run = row["run_id"].rpartition("-")[0]
        explores = int(run.rpartition("-")[2]) % 4 == 0 and explored
        turn = row["draw"] + 1
        common = {**row, "run_id": run, "turn": turn, "draw": 0, "verdict": "accept" if turn == 1 else None}
        if turn == 1:
            shown.append({**common, "origin": "live"})
        elif explores:
            shown.append({**common, "origin": "explored", "propensity": 0.25})
    return shown


def test_runs_that_were_cut_off_need_some_that_explored(dm):
    rows = behaviors(1200)
    hidden, _ = certify_on(dm, live(rows, explored=False))
    assert isinstance(hidden, Refusal)
    assert "were cut off by an accept, a stop, a review or shadow mode, and no run of their Reasoner" in hidden.reason
    shown, _ = certify_on(dm, live(rows, explored=True))
    assert shown.questions == pytest.approx(150, abs=40), "the explored alone"
    assert shown.max_turns == 4


def test_a_few_runs_that_nothing_stands_for_refuse_nothing(dm):
    """One in forty was stopped, and of these none explored: where the policy would go on, they count as wrong."""
    rows = live(behaviors(1200), explored=True)
    stopped = {row["run_id"] for row in rows if int(row["run_id"].rpartition("-")[2]) % 40 == 1}
    promise, _ = certify_on(dm, [{**row, "verdict": "stop"} if row["run_id"] in stopped else row for row in rows])
    assert isinstance(promise, Certificate)


def test_a_half_that_cannot_be_fitted_to_says_so(dm):
    rows = [{**row, "label": "correct"} for row in behaviors(200)]
    with pytest.raises(DataError, match="both right and wrong"):
        certify_on(dm, rows)


@pytest.mark.parametrize("target", [0.0, 1.0, 5, -0.1])
def test_terms_are_shares(target):
    with pytest.raises(ConfigError, match="`target_error` must be between 0 and 1"):
        Terms(target_error=target, confidence=0.95, max_turns=4)
