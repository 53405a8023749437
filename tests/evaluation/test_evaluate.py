"""Evaluate: every strategy over the same draws, resumed where it stopped."""

import json
import re
from dataclasses import replace
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
from dm.test_certificate import make_certificate
from fakes import FunctionChatModel, ScriptedChatModel, TableDM
from stopping.models import stopping_model

from drr_agent.errors import ConfigError, DataError
from drr_agent.evaluation.evaluate import EvaluateConfig, evaluate
from drr_agent.evaluation.report import write_report
from drr_agent.evaluation.strategies import standard_strategies
from drr_agent.lines import hold
from drr_agent.policy import ConsensusPolicy, ThresholdPolicy
from drr_agent.prompts import CONFIDENCE, Prompts
from drr_agent.questions import question_key
from drr_agent.reasoners.resolve import describe_reasoner
from drr_agent.stopping import StoppingPolicy

SAMPLES = [{"id": f"s{n}", "question": f"What is {n} + 0?", "target": str(n)} for n in range(12)]
SETTINGS = EvaluateConfig(max_turns=3, policy=ThresholdPolicy(threshold=0.5), greedy=False, progress=False)


class Warm(FunctionChatModel):
    """Replies by a function of the messages and its temperature."""

    temperature: float = 1.0

    @property
    def _identifying_params(self):
        return {"temperature": self.temperature}

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        number = int(re.search(r"What is (\d+)", str(messages[0].content)).group(1))
        return self._reply(f"Answer: {number if self.temperature == 0 else number + 10}")


def silent(messages):
    raise AssertionError("every draw is there already")


class Dice:
    """Right or off by ten, by turns a question; a critique is always a yes."""

    def __init__(self):
        self.calls = {}

    def __call__(self, messages):
        if "yes or no" in str(messages[-1].content).lower():
            return "yes"
        number = int(re.search(r"What is (\d+)", str(messages[0].content)).group(1))
        self.calls[number] = self.calls.get(number, -1) + 1
        return f"so\nAnswer: {number + 10 * ((number + self.calls[number]) % 2)}"


def scores():
    return TableDM({str(n): 0.9 if n < 10 else 0.2 for n in range(30)})


def test_every_strategy_is_in_the_report(tmp_path):
    report = evaluate(FunctionChatModel(function=Dice()), scores(), SAMPLES[:10], tmp_path, config=SETTINGS)
    strategies = {result.strategy for result in report.results}
    voting = {"single_pass", "self_consistency", "adaptive_consistency", "best_of_n", "self_critique"}
    assert strategies == voting | {"drr_threshold"}
    of = {(result.strategy, result.setting): result for result in report.results}
    assert of["single_pass", ""].accuracy == 0.5
    assert of["drr_threshold", "at 0.5, fresh"].accuracy == 1.0
    assert of["drr_threshold", "at 0.5, fresh"].mean_calls == 1.5
    assert report.dm.within_question_auroc == 1.0


def test_the_report_keeps_its_contract(tmp_path):
    report = evaluate(FunctionChatModel(function=Dice()), scores(), SAMPLES[:10], tmp_path, config=SETTINGS)
    write_report(report, tmp_path)
    written = json.loads((tmp_path / "report.json").read_text())
    assert {"strategy", "setting", "n", "accuracy", "accuracy_ci", "mean_turns", "mean_tokens"} <= set(
        written["results"][0]
    )
    assert {"auroc", "within_question_auroc", "ece", "brier"} <= set(written["dm"])


def test_a_second_call_asks_for_nothing(tmp_path):
    first = evaluate(FunctionChatModel(function=Dice()), scores(), SAMPLES[:10], tmp_path, config=SETTINGS)
    again = evaluate(FunctionChatModel(function=silent), scores(), SAMPLES[:10], tmp_path, config=SETTINGS)
    assert [result.accuracy for result in again.results] == [result.accuracy for result in first.results]


def test_another_reasoner_does_not_get_the_draws(tmp_path):
    evaluate(FunctionChatModel(function=Dice()), scores(), SAMPLES[:2], tmp_path, config=SETTINGS)
    with pytest.raises(AssertionError, match="Reasoner asked 1 times"):
        evaluate(ScriptedChatModel(replies=[]), scores(), SAMPLES[:2], tmp_path, config=SETTINGS)


def test_one_attempt_at_temperature_0_is_a_rival(tmp_path):
    report = evaluate(Warm(function=silent), scores(), SAMPLES[:4], tmp_path, config=replace(SETTINGS, greedy=True))
    accuracy = {(result.strategy, result.setting): result.accuracy for result in report.results}
    assert accuracy["single_pass", ""] == 0.0
    assert accuracy["single_pass", "at temperature 0"] == 1.0
    assert report.comparisons[0].baseline == "single pass at temperature 0", "DRR is held against the better of the two"
    assert report.comparisons[0].difference_ci[1] < 0
    assert report.verdict == "Not yet: 4 labelled questions are too few to tell; 30 are the fewest."


def test_what_is_found_ends_with_what_to_do(tmp_path):
    many = [{**SAMPLES[0], "id": f"s{number}", "question": f"What is {number} + 0?"} for number in range(30)]
    samples = [{**sample, "target": str(number)} for number, sample in enumerate(many)]
    report = evaluate(Warm(function=silent), scores(), samples, tmp_path, config=replace(SETTINGS, greedy=True))
    assert "Looping hurts here" in report.verdict
    assert report.verdict.endswith(" So: do not.")


def test_every_strategy_is_asked_in_the_wording_that_is_given(tmp_path):
    asked, dice = [], Dice()

    def reply(messages):
        asked.append(str(messages[0].content))
        return dice(messages)

    settings = replace(SETTINGS, prompts=Prompts(confidence=CONFIDENCE))
    report = evaluate(FunctionChatModel(function=reply), scores(), SAMPLES[:3], tmp_path, config=settings)
    assert {"drr_threshold", "best_of_n", "self_critique", "single_pass"} <= {row.strategy for row in report.results}
    assert asked
    assert all(CONFIDENCE in text for text in asked)


def test_a_reasoner_without_a_temperature_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="expected a Reasoner with a `temperature`, got FunctionChatModel"):
        evaluate(FunctionChatModel(function=silent), None, SAMPLES, tmp_path)


def test_questions_the_dm_learned_from_are_left_out(tmp_path):
    dm = scores()
    dm.seen = frozenset(question_key(sample["question"]) for sample in SAMPLES[:4])
    report = evaluate(FunctionChatModel(function=Dice()), dm, SAMPLES[:10], tmp_path, config=SETTINGS)
    assert (report.seen, report.results[0].n) == (4, 6)
    with pytest.raises(DataError, match="got 4 that it was"):
        evaluate(FunctionChatModel(function=silent), dm, SAMPLES[:4], tmp_path, config=SETTINGS)


def test_what_votes_agrees_by_the_grader(tmp_path):
    replies = chain(["(b) since", "A", "B", "B. yes"], repeat("A"))
    reasoner = FunctionChatModel(function=lambda messages: f"Answer: {next(replies)}")
    settings = replace(SETTINGS, grader="choice", max_turns=4)
    report = evaluate(reasoner, None, [{"id": "s", "question": "Which?", "target": "B"}], tmp_path, config=settings)
    accuracy = {(result.strategy, result.setting): result.accuracy for result in report.results}
    assert accuracy["self_consistency", "k=4"] == 1.0


def test_two_evaluations_do_not_share_a_folder(tmp_path):
    with hold(tmp_path / "draws.jsonl", by="a test"), pytest.raises(DataError, match="another evaluation holds it"):
        evaluate(FunctionChatModel(function=silent), None, SAMPLES, tmp_path, config=SETTINGS)


def test_without_a_dm_only_the_baselines_run(tmp_path):
    report = evaluate(FunctionChatModel(function=Dice()), None, SAMPLES, tmp_path, config=SETTINGS)
    assert report.dm is None
    assert report.verdict.startswith("No verdict")
    assert not any(result.strategy.startswith(("drr", "best")) for result in report.results)


def test_no_samples_is_an_error(tmp_path):
    with pytest.raises(DataError, match="expected samples to evaluate on, got none"):
        evaluate(ScriptedChatModel(replies=[]), None, [], tmp_path, config=SETTINGS)


class CertifiedDM(TableDM):
    """With the policy that was certified, of three turns."""

    stopping = None
    consensus = ConsensusPolicy(threshold=0.6)

    def __init__(self, scores, **changes):
        super().__init__(scores)
        self.manifest = SimpleNamespace(
            certificates=(
                make_certificate(
                    **{
                        "dm": self.digest,
                        "policy": repr(self.consensus),
                        "prompts": (Prompts().digest,),
                        "reasoners": (describe_reasoner(FunctionChatModel(function=Dice())),),
                        "max_turns": 3,
                        **changes,
                    }
                ),
            ),
            signals=(),
        )


@pytest.mark.parametrize(
    ("certificate", "settings", "said"),
    [
        pytest.param({}, {}, "Certified: at most 5 % of the accepted answers wrong", id="what was certified"),
        pytest.param({}, {"max_turns": 2}, "since runs have at most 2 turns here, and 3 turns there.", id="turns"),
        pytest.param({}, {"grader": "number"}, "since the policy is another one.", id="another grader"),
        pytest.param(
            {}, {"prompts": Prompts(confidence=CONFIDENCE)}, "asked for with other prompts.", id="other prompts"
        ),
        pytest.param({"reasoners": ("pocket",)}, {}, "here, and by pocket there.", id="another Reasoner"),
    ],
)
def test_the_report_says_whether_this_is_what_was_certified(tmp_path, certificate, settings, said):
    dm = CertifiedDM({str(n): 0.9 if n < 10 else 0.2 for n in range(30)}, **certificate)
    config = replace(SETTINGS, policy=None, **settings)
    report = evaluate(FunctionChatModel(function=Dice()), dm, SAMPLES[:4], tmp_path, config=config)
    assert said in report.certification.told
    assert report.certification.certified == said.startswith("Certified")


def test_without_a_certificate_nothing_is_said_of_one(tmp_path):
    report = evaluate(FunctionChatModel(function=Dice()), scores(), SAMPLES[:2], tmp_path, config=SETTINGS)
    assert report.certification is None


def test_a_certified_stopping_policy_is_named_with_where_it_accepts():
    policy = StoppingPolicy(model=stopping_model(), accept_at=0.71)
    plain, certified = (
        standard_strategies(dm, max_turns=3, policy=policy)[0].setting for dm in (scores(), CertifiedDM({}))
    )
    assert plain == "worth 50 calls"
    assert certified == "worth 50 calls, accept_at 0.71"
