"""An agent with a tool, whose final answers are judged: a wrong one is thought again, and the user never sees it.

The judge is a rule, which needs no training: right unless a calculation does not add up. Yours is `load_dm("dm")`.
"""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import tool
from scripted import Scripted

from drr_agent import Score, ScoreRequest, ThresholdPolicy
from drr_agent.middleware import DRRMiddleware

PRICES = {"lamp": 12, "chair": 35}
PROMPT = "Look prices up. Show your calculation, then end with a line `Answer: …`."


@tool
def price(item: str) -> int:
    """The price of an item, in euro."""
    return PRICES[item]


class Calculator:
    digest = "calculator-1"

    def score(self, requests: Sequence[ScoreRequest]) -> list[Score]:
        return [Score(0.1 if request.signals.get("arithmetic_errors") else 0.9) for request in requests]


def careless() -> Scripted:
    """A model that looks the price up, and gets the product wrong the first time."""
    products = iter([35, 36])

    def reply(messages: list[BaseMessage]) -> AIMessage:
        if not any(isinstance(message, ToolMessage) for message in messages):
            return AIMessage("", tool_calls=[{"name": "price", "args": {"item": "lamp"}, "id": "1"}])
        product = next(products)
        return AIMessage(f"3 * 12 = {product}\nAnswer: {product}")

    return Scripted(reply=reply)


def main() -> list[Any]:
    judge = DRRMiddleware(dm=Calculator(), policy=ThresholdPolicy(), parser="answer", max_turns=3)
    agent = create_agent(careless(), [price], system_prompt=PROMPT, middleware=[judge])
    messages = []
    asked = {"messages": [("user", "What do three lamps cost?")]}
    for mode, data in agent.stream(asked, stream_mode=["messages", "custom"]):
        if mode == "custom":
            print(f"  ({data['type']}, turn {data['turn']})")
        else:
            messages.append(data[0])
            print(f"{data[0].type}: {data[0].text or 'calls a tool'}")
    return messages


if __name__ == "__main__":
    main()
