"""The whole replay: its figures, its honesty, its words."""

import json

import numpy as np
import pytest
from replay.logs import SignalDM, make_log
from training.synthetic import make_behavior

from drr_agent.dm.calibration import SigmoidCalibration
from drr_agent.dm.fusion import Fusion
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.models import SignalDM as SavedSignalDM
from drr_agent.dm.terms import Term
from drr_agent.errors import ConfigError, DataError
from drr_agent.no_progress import NoProgress
from drr_agent.policy import ConsensusPolicy, ThresholdPolicy
from drr_agent.questions import question_key
from drr_agent.replay import ReplayConfig, read_replay, replay, write_replay
from drr_agent.replay.forms import ThresholdFamily


def run(rows, dm=None, *, choose_on=None, **changes):
    config = {"policies": ("threshold",), "max_turns": 5, "resamples": 200, "progress": False}
    return replay(rows, dm, choose_on=choose_on, config=ReplayConfig(**{**config, **changes}))


@pytest.fixture(scope="module")
def informed():
    """Scores that tell right from wrong."""
    return run(make_log(250, seed=1), SignalDM(), choose_on=make_log(150, seed=2))


def limits(report):
    return {limit.kind: limit.count for limit in report.limits}


def test_what_helps_is_to_be_used(informed):
    verdict = informed.verdict
    assert verdict.word == "use it"
    assert verdict.setting == informed.subject == informed.policies[0].label
    assert verdict.saves.right > 0
    assert verdict.saves.calls > 0
    assert verdict.saves.tokens == pytest.approx(20 * verdict.saves.calls), "an attempt has 20 tokens"
    assert 0 < verdict.saves.usd < 1, "list prices are known by the Reasoner's name"


@pytest.mark.parametrize(
    ("rows", "changes", "word", "said"),
    [
        pytest.param(
            make_log(250, seed=3, informative=False), {}, "do not", "", id="scores that tell nothing, and voting helps"
        ),
        pytest.param(
            make_log(250, seed=4, informative=False, skills=(0.0, 1.0)),
            {},
            "do not",
            "one attempt is enough",
            id="easy",
        ),
        pytest.param(make_log(20, seed=5), {}, "do not", "20 labelled questions are too few", id="few questions"),
    ],
)
def test_what_does_not_help_is_said_so(rows, changes, word, said):
    verdict = run(rows, SignalDM(), choose_on=make_log(100, seed=9), **changes).verdict
    assert verdict.word == word
    assert said in verdict.reason
    assert verdict.saves is None


def test_the_figures_hang_together(informed):
    first, *_ = informed.policies
    point, intervals = first.chosen.point, first.chosen.intervals
    assert informed.questions == 250
    assert informed.attempts == 1250
    assert informed.effective_questions == pytest.approx(250)
    assert informed.first.mean < point.accuracy <= informed.oracle.mean
    assert intervals["accuracy"].low < point.accuracy < intervals["accuracy"].high
    assert intervals["calls"].mean == pytest.approx(point.calls)
    on_frontier = next(p for p in first.frontier if p.setting == point.setting)
    assert on_frontier.accuracy == pytest.approx(point.accuracy)
    turns = first.chosen.by_turn
    assert turns[0].reached == pytest.approx(1.0)
    assert sum(row.reached for row in turns) == pytest.approx(point.calls)
    assert sum(row.accepted for row in turns) == pytest.approx(point.accepted)
    ends = sum(row.accepted + row.stopped + row.reviewed + row.exhausted for row in turns)
    assert ends == pytest.approx(1.0)
    single = next(c for c in informed.comparisons if c.against == "single")
    assert single.accuracy.mean == pytest.approx(point.accuracy - informed.first.mean)
    assert single.p < 0.01


def test_calls_to_match_and_accuracy_at_calls_are_of_the_frontier(informed):
    """Where the subject is as accurate for fewer calls, it is more accurate at as many."""
    for found in informed.comparisons:
        if found.calls_ratio is not None:
            assert found.calls_ratio.low <= found.calls_ratio.mean <= (found.calls_ratio.high or np.inf)
            assert (found.calls_ratio.mean < 1 - 1e-9) <= (found.accuracy_at_calls.mean >= -1e-9)
    adaptive = next(found for found in informed.comparisons if found.against.startswith("adaptive"))
    assert adaptive.calls_ratio.mean < 0.7


def test_mixes_are_chosen_elsewhere_or_they_match_exactly(informed):
    missed = [found.matched_accuracy.mean for found in informed.comparisons if found.matched_accuracy]
    assert missed
    assert max(map(abs, missed)) > 1e-3, "chosen on other questions, a match is missed a little here"
    alone = run(make_log(60, seed=6), SignalDM())
    for found in alone.comparisons:
        assert found.matched_accuracy is None or found.matched_accuracy.mean == pytest.approx(0.0, abs=1e-9)
        assert found.calls_ratio is None or found.calls_ratio.mean == pytest.approx(found.calls_ratio_in_hindsight.mean)


@pytest.mark.parametrize(
    ("policy", "against", "names"),
    [
        pytest.param("adaptive:0.9", ("adaptive:0.9", "adaptive:0.8"), ["single", "adaptive at 0.8"], id="a string"),
        pytest.param(
            ThresholdPolicy(threshold=0.7), (ThresholdPolicy(threshold=0.7), "single"), ["single"], id="an equal object"
        ),
        pytest.param("single", ("single", "self_consistency:3"), ["single", "self_consistency k=3"], id="one attempt"),
    ],
)
def test_a_policy_is_not_set_against_itself(policy, against, names):
    report = run(make_log(40, seed=6), SignalDM(), policies=(policy,), against=against)
    assert [found.against for found in report.comparisons] == names, "one attempt is always there"


def test_a_point_says_how_accurate_it_is_without_what_goes_to_review(informed):
    point = informed.policies[0].chosen.point
    assert point.reviewed == 0
    assert point.accuracy_unreviewed == pytest.approx(point.accuracy)


def test_single_attempts_have_no_verdict():
    verdict = run(make_log(60, seed=6, draws=1), SignalDM()).verdict
    assert (verdict.word, verdict.unknown) == ("do not", True)
    assert "there is one attempt a question" in verdict.reason


def test_a_setting_is_chosen_elsewhere_or_it_is_told(informed):
    assert (informed.chosen_on, informed.policies[0].chosen.chosen_on) == ("calibration", "calibration")
    assert "in sample" not in limits(informed)
    rows = make_log(60, seed=6)
    alone = run(rows, SignalDM())
    assert alone.chosen_on == "in sample"
    assert limits(alone)["in sample"] == 60
    given = run(rows, SignalDM(), policies=("threshold:0.7",), against=("self_consistency:3", "adaptive:0.9"))
    assert "in sample" not in limits(given)
    assert [policy.label for policy in given.policies] == [
        "threshold at 0.7",
        "single",
        "self_consistency k=3",
        "adaptive at 0.9",
    ]


@pytest.mark.parametrize(
    ("rows", "kind", "count", "said"),
    [
        pytest.param(make_log(40, draws=3), "too few attempts", 40, "fewer than 5 attempts (the longest 3", id="few"),
        pytest.param(make_log(40, feedback="history"), "history-fed", 200, "told of a rejection", id="history"),
        pytest.param(make_log(40, input_tokens=None), "unmetered", 200, "no token counts", id="unmetered"),
        pytest.param(make_log(40, reasoner="gemma-2-2b-it"), "no price", 1, "gemma-2-2b-it", id="no price"),
        pytest.param(
            [*make_log(40), *make_log(7, seed=1, label=None, labels=[])], "unjudged", 7, "`drr label`", id="unjudged"
        ),
        pytest.param(make_log(40, label_source="judge:m"), "by a judge", 200, "its errors", id="a judge"),
    ],
)
def test_what_the_log_cannot_tell_is_told(rows, kind, count, said):
    report = run(rows, SignalDM())
    assert limits(report)[kind] == count
    assert said in next(limit.text for limit in report.limits if limit.kind == kind)


def test_a_log_that_tells_all_has_no_limits(informed):
    assert limits(informed) == {}


def live(run_id, ends, *, explored=False, by="accept", **changes):
    """A run in use that its policy ended at its turn `ends`; one that explored went on to the fourth."""
    rows = []
    for turn in range(1, (4 if explored else ends) + 1):
        tail = turn > ends
        told = {"id": f"{run_id}:{turn}", "run_id": run_id, "turn": turn, "draw": None, "signals": {"p": 0.5}}
        told |= {"verdict": None if tail else by if turn == ends else "reject", "target": "two"}
        told |= {"origin": "explored" if tail else "live", "propensity": 0.25 if tail else 1.0}
        rows.append(make_behavior(f"Question of {run_id}?", **{**told, **changes}))
    return rows


@pytest.mark.parametrize("explored", [False, True], ids=["never explored", "explored"])
@pytest.mark.parametrize("by", ["accept", "stop", "review"])
def test_runs_that_the_policy_cut_off(explored, by):
    rows = [row for number in range(40) for row in live(f"r{number}", 2, explored=explored and number % 4 == 0, by=by)]
    report = run(rows, SignalDM(), policies=("threshold:0.9",), max_turns=4)
    told = limits(report)
    assert told.get("no explored tails", 0) == (0 if explored else 40)
    assert told.get("stood for", 0) == (30 if explored else 0)
    calls = report.policies[0].chosen.point.calls
    assert calls == pytest.approx(4.0 if explored else 2.0), "what explored stands for what was cut off"


def test_questions_the_dm_has_learned_from_are_left_out():
    rows = make_log(50, seed=7)
    seen = {row["question_key"] for row in rows if row["question_key"] < "8"}
    report = run(rows, SignalDM(seen))
    assert report.questions == 50 - len(seen)
    assert limits(report)["seen"] == len(seen)
    with pytest.raises(DataError, match=r"not trained or calibrated on, got 250 attempts"):
        run(rows, SignalDM({row["question_key"] for row in rows}))


def test_voting_is_replayed_without_a_dm():
    report = run(make_log(80, seed=8), policies=("adaptive",), against=("self_consistency",))
    assert report.dm is None
    assert report.within_question is None
    assert report.environment.dm is None
    assert report.verdict.word in {"use it", "shadow it", "do not"}


@pytest.mark.parametrize(
    ("policy", "label"),
    [
        pytest.param(ThresholdPolicy(threshold=0.7), "threshold at 0.7", id="a known form"),
        pytest.param(ConsensusPolicy(threshold=0.9), "consensus at 0.9", id="consensus"),
        pytest.param(NoProgress(policy=ConsensusPolicy()), "NoProgress", id="any policy"),
        pytest.param(ThresholdFamily(settings=(0.4, 0.6)), "threshold at 0.", id="a family"),
    ],
)
def test_policies_are_given_as_objects_too(policy, label):
    assert run(make_log(40, seed=1), SignalDM(), policies=(policy,)).subject.startswith(label)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param("magic", "must be one of drr, stopping, consensus", id="unknown"),
        pytest.param("threshold:high", "expected a setting of 'threshold', got 'threshold:high'", id="no number"),
        pytest.param("consensus:1.5", r"`threshold` must be in \[0, 1\]", id="refused by the policy"),
        pytest.param("self_consistency:9", "expected 1 to 5 turns", id="more turns than there are"),
        pytest.param("single:3", "expected 1 to 5 turns", id="one attempt is one"),
    ],
)
def test_a_policy_that_is_none_is_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        run(make_log(5), SignalDM(), policies=(spec,))


def test_scores_are_needed_where_a_policy_reads_them():
    with pytest.raises(ConfigError, match="'drr' needs scores, got no DM; name one with `--dm`"):
        run(make_log(5), policies=("drr",))


def test_nothing_to_replay_is_an_error():
    with pytest.raises(DataError, match="expected questions to replay, got none"):
        run([], SignalDM())


def test_slices_examples_and_scores_are_there_to_read(informed):
    by = {part.by for part in informed.slices}
    assert by == {"reasoner", "dataset", "length", "turn"}
    (reasoner,) = (part for part in informed.slices if part.by == "reasoner")
    assert (reasoner.name, reasoner.questions) == ("openai:gpt-4o-mini", 250)
    assert reasoner.accuracy == pytest.approx(informed.policies[0].chosen.point.accuracy)
    assert reasoner.first == pytest.approx(informed.first.mean)
    fixed = [example for example in informed.examples if example.change == "fixed"]
    assert fixed
    for example in fixed:
        assert example.attempts[0].right is False
        assert [attempt.right for attempt in example.attempts if attempt.chosen] == [True]
    assert informed.dm.auroc > 0.9


def test_scores_within_questions_are_those_at_mixed_ones(informed):
    labels = {}
    for row in make_log(250, seed=1):
        labels.setdefault(row["question_key"], []).append(row["label"])
    mixed = [label for question in labels.values() if len(set(question)) == 2 for label in question]
    assert sum(informed.within_question.right) == mixed.count("correct")
    assert sum(informed.within_question.wrong) == mixed.count("incorrect")


def test_slices_are_parts_of_the_whole():
    good, bad = make_log(60, seed=1, skills=(0.9,)), make_log(40, seed=2, skills=(0.3,), reasoner="m", dataset="d")
    report = run([*good, *bad], SignalDM())
    for by in ("reasoner", "dataset", "length"):
        parts = [part for part in report.slices if part.by == by]
        assert sum(part.questions for part in parts) == 100
        assert sum(part.attempts for part in parts) == 500
        for figure, whole in (("first", report.first.mean), ("accuracy", report.policies[0].chosen.point.accuracy)):
            assert sum(getattr(part, figure) * part.questions for part in parts) == pytest.approx(100 * whole)
    first, second = (part for part in report.slices if part.by == "reasoner")
    assert (first.questions, second.name, second.questions) == (60, "m", 40)
    assert first.first > 0.8 > 0.4 > second.first


def test_the_record_reads_back_as_it_was(informed, tmp_path):
    path = write_replay(informed, tmp_path / "out")
    assert read_replay(path) == informed
    damaged = {**json.loads(path.read_text()), "more": 1}
    path.write_text(json.dumps(damaged))
    with pytest.raises(DataError, match=r"expected a replay of format 1 .*replay again"):
        read_replay(path)
    with pytest.raises(DataError, match="found nothing"):
        read_replay(tmp_path / "none.json")


def respelled(rows):
    """The same attempts, at questions that are nearly the same."""
    return [{**row, "id": f"{row['id']}!", "question_key": question_key(f"{row['question']}!")} for row in rows]


def test_a_near_duplicate_says_nothing_more():
    """Each question twice, in two spellings: the figures and their intervals are those of each once."""
    rows = make_log(80, seed=8, feedback="history", draws=3)
    once, twice = run(rows, SignalDM(), orders="logged"), run([*rows, *respelled(rows)], SignalDM(), orders="logged")
    assert twice.first == pytest.approx(once.first)
    found, known = (report.policies[0].chosen.intervals["accuracy"] for report in (twice, once))
    assert found == pytest.approx(known)


def test_settings_are_chosen_on_other_questions_alone():
    rows = make_log(60, seed=6)
    assert run(rows, SignalDM(), choose_on=rows).chosen_on == "in sample"
    assert run(rows, SignalDM(), choose_on=respelled(rows)).chosen_on == "in sample"
    assert run(rows, SignalDM(), choose_on=make_log(9, seed=7, label=None, labels=[])).chosen_on == "in sample"
    other = make_log(60, seed=7)
    assert run(rows, SignalDM(), choose_on=[*rows, *other]).policies == run(rows, SignalDM(), choose_on=other).policies


def test_no_more_turns_are_tried_than_the_log_holds():
    report = run(make_log(40, draws=3), SignalDM(), policies=("self_consistency",), max_turns=8)
    assert [point.setting for point in report.policies[0].frontier] == [1.0, 2.0, 3.0]


def test_one_question_of_one_attempt_can_be_replayed():
    report = run(make_log(1, draws=1), SignalDM(), max_turns=1)
    assert (report.questions, report.verdict.word) == (1, "do not")


def test_a_replay_is_seeded():
    rows = make_log(60, seed=3)
    one, same, other = (run(rows, SignalDM(), seed=seed) for seed in (1, 1, 2))
    assert one.policies == same.policies
    assert one.policies != other.policies


def signal_dm(*names):
    """A saved kind of DM that reads these signals."""
    terms = tuple(Term(name=name, unit=1.0, center=0.5, scale=0.2, weight=1.0) for name in names)
    manifest = DMManifest(
        inputs="signals",
        text=None,
        fusion=Fusion(text=None, signals=terms, intercept=0.0, regularization=1.0),
        calibration=SigmoidCalibration(kind="platt", slope=2.0, intercept=0.0),
        calibrated_on="calibration",
    )
    return SavedSignalDM(manifest=manifest, digest="5" * 12)


def test_a_signal_that_the_log_lacks_is_told_and_calibration_is_shown():
    report = run(make_log(60, seed=1), signal_dm("p", "logprob_mean"))
    assert limits(report)["missing signals"] == 1
    assert "logprob_mean, which no attempt" in next(x.text for x in report.limits if x.kind == "missing signals")
    assert report.dm.reliability_before != report.dm.reliability
    assert sum(row.count for row in report.dm.reliability_before) == 300
    assert "missing signals" not in limits(run(make_log(60, seed=1), signal_dm("p")))
