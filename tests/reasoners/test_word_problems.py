"""The word problems: the same for the same seed, right by an independent reading, never the same for two seeds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drr_agent.reasoners.word_plots import Step
from drr_agent.reasoners.word_problems import Problem, generate, generate_problems, normalize_question

GOLDEN = {
    "id": "word-0-0",
    "question": "Sam has 8 flowers. Dan is 5 years old. Tara has 3 times as many as Sam. "
    "How many flowers do the two have in all?",
    "target": "32",
}
SEEDS = st.integers(min_value=0, max_value=10**12)


def recompute(problem: Problem) -> int:
    """Read the worked solution as text and calculate it anew."""
    *lines, last = problem.solution.split("\n")
    for line in lines:
        left, operator, right, result = re.fullmatch(r"(\d+) ([-+*/]) (\d+) = (\d+)", line).groups()
        if operator == "/":
            assert int(right) * int(result) == int(left)
        else:
            assert eval(f"{left}{operator}{right}") == int(result)
    assert last == f"Answer: {result}"
    return int(result)


@given(SEEDS)
def test_the_worked_solution_leads_to_the_target(seed):
    for problem in generate_problems(5, seed=seed):
        assert problem.target == recompute(problem)
        assert problem.sample["target"] == str(problem.target)


@given(SEEDS)
def test_numbers_are_small_and_stories_short(seed):
    for problem in generate_problems(5, seed=seed):
        assert 2 <= len(problem.steps) <= 5
        assert all(0 <= number <= 999 for step in problem.steps for number in (step.left, step.right, step.result))
        assert len(problem.question.split()) < 90
        assert problem.question.endswith("?")


@given(SEEDS)
def test_every_operand_is_told_or_worked_out_before(seed):
    for problem in generate_problems(5, seed=seed):
        known = {int(number) for number in re.findall(r"\d+", problem.question)}
        known |= {word for name, word in (("doubles", 2), ("triples", 3)) if name in problem.question}
        for step in problem.steps:
            assert {step.left, step.right} <= known, problem
            known.add(step.result)


@given(SEEDS, st.integers(0, 10), st.integers(0, 10))
def test_more_problems_begin_with_fewer(seed, n, more):
    assert generate(n + more, seed=seed)[:n] == generate(n, seed=seed)


def test_samples_have_stable_ids():
    assert [sample["id"] for sample in generate(3, seed=7)] == ["word-7-0", "word-7-1", "word-7-2"]


def test_the_same_question_for_the_same_seed_on_every_machine():
    assert generate(1, seed=0) == [GOLDEN]


def test_seeds_share_no_question():
    questions = [normalize_question(sample["question"]) for seed in range(10) for sample in generate(600, seed=seed)]
    assert len(set(questions)) == len(questions)


def test_problems_are_varied():
    problems = generate_problems(2000, seed=3)
    assert {len(problem.steps) for problem in problems} == {2, 3, 4, 5}
    assert {step.operator for problem in problems for step in problem.steps} == set("+-*/")
    openings = {re.sub(r"\d+", "#", problem.question) for problem in problems}
    assert len(openings) > 1500
    counts = {problem.target: 0 for problem in problems}
    for problem in problems:
        counts[problem.target] += 1
    assert max(counts.values()) < 0.05 * len(problems)


@pytest.mark.parametrize(
    ("step", "result"), [(Step(7, "+", 5), 12), (Step(7, "-", 5), 2), (Step(7, "*", 5), 35), (Step(35, "/", 5), 7)]
)
def test_a_step_shows_its_result(step, result):
    assert step.result == result
    assert str(step).endswith(f"= {result}")


def test_questions_differ_by_more_than_case_and_spacing():
    assert normalize_question("How  many\nApples?") == normalize_question("how many apples? ")
