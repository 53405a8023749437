"""How numbers move: from the question into calculations, from one calculation to the next, and into the answer.

A wrong rationale mostly adds up. What gives it away is a number from nowhere, a result that nothing is made of, or a
number of the question that was only repeated. What is asked of calculations is missing where there is none.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from drr_agent.arithmetic import read_calculations
from drr_agent.signals.given import Signal, SignalInput
from drr_agent.signals.numbers import asked_numbers, cut_statement, read_answer

_COMMON = frozenset({1.0, 2.0, 7.0, 10.0, 12.0, 24.0, 52.0, 60.0, 100.0, 365.0, 1000.0})
"""Numbers that everybody knows: halves, dozens, hours, weeks, percent."""


class Flow(NamedTuple):
    """Where the numbers of a rationale's calculations come from and go."""

    operands: tuple[float, ...]
    results: tuple[float, ...]
    ungrounded: int
    """Operands that neither the question nor an earlier result holds."""


@lru_cache(maxsize=16)
def read_flow(question: str, rationale: str) -> Flow | None:
    """The calculations before the answer is stated; `None` without any."""
    operands, results, ungrounded = list[float](), list[float](), 0
    known = asked_numbers(question) | _COMMON
    for calculation in read_calculations(cut_statement(rationale)):
        ungrounded += sum(value not in known for value in calculation.operands)
        operands += calculation.operands
        results.append(calculation.result)
        known |= {abs(calculation.result)}  # an operand has no sign: a minus before it is an operation
    return Flow(tuple(operands), tuple(results), ungrounded) if results else None


def ungrounded_operands(given: SignalInput) -> float | None:
    """How many numbers are calculated with that neither the question nor an earlier result holds."""
    flow = _flow(given)
    return None if flow is None else float(flow.ungrounded)


def ungrounded_share(given: SignalInput) -> float | None:
    """The same, as a share of the numbers that are calculated with."""
    flow = _flow(given)
    return None if flow is None else flow.ungrounded / len(flow.operands)


def repeated_operands(given: SignalInput) -> float | None:
    """How often a number is calculated with again."""
    flow = _flow(given)
    return None if flow is None else float(len(flow.operands) - len(set(flow.operands)))


def unused_results(given: SignalInput) -> float | None:
    """How many results are neither calculated with nor the answer."""
    flow, answer = _flow(given), read_answer(given.draft["answer"])
    if flow is None:
        return None
    ends = set(flow.operands) if answer is None else {*flow.operands, abs(answer)}
    return float(sum(abs(value) not in ends for value in flow.results))


def unused_result_share(given: SignalInput) -> float | None:
    """The same, as a share of the results."""
    flow, unused = _flow(given), unused_results(given)
    return None if flow is None or unused is None else unused / len(flow.results)


def answer_is_result(given: SignalInput) -> float | None:
    """1 when the numeric answer is the result of a calculation."""
    flow, value = _flow(given), read_answer(given.draft["answer"])
    return None if flow is None or value is None else float(abs(value) in map(abs, flow.results))


def answer_is_last_result(given: SignalInput) -> float | None:
    """1 when the numeric answer is what the last calculation came to."""
    flow, value = _flow(given), read_answer(given.draft["answer"])
    return None if flow is None or value is None else float(abs(value) == abs(flow.results[-1]))


def uncalculated_numbers(given: SignalInput) -> float | None:
    """How many numbers of the question enter no calculation."""
    flow = _flow(given)
    return None if flow is None else float(len(asked_numbers(given.question) - set(flow.operands)))


def uncalculated_share(given: SignalInput) -> float | None:
    """The same, as a share of the question's numbers; missing without any."""
    uncalculated, asked = uncalculated_numbers(given), asked_numbers(given.question)
    return None if uncalculated is None or not asked else uncalculated / len(asked)


def spare_calculations(given: SignalInput) -> float | None:
    """Calculations less the question's numbers: most problems take one fewer than they have numbers."""
    flow = _flow(given)
    return None if flow is None else float(len(flow.results) - len(asked_numbers(given.question)))


def _flow(given: SignalInput) -> Flow | None:
    return read_flow(given.question, given.draft["rationale"])


FLOW_SIGNALS: Mapping[str, Signal] = {
    "ungrounded_operands": ungrounded_operands,
    "ungrounded_share": ungrounded_share,
    "repeated_operands": repeated_operands,
    "unused_results": unused_results,
    "unused_result_share": unused_result_share,
    "answer_is_result": answer_is_result,
    "answer_is_last_result": answer_is_last_result,
    "uncalculated_numbers": uncalculated_numbers,
    "uncalculated_share": uncalculated_share,
    "spare_calculations": spare_calculations,
}
