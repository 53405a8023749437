"""The same draws for every strategy, so that strategies differ and luck does not.

Strategies that ask the same messages at the same turn get the same reply: drawn once, paid once, and a comparison over
them is paired. Each strategy is still charged for every call it makes. Draws are kept in a file, so an evaluation that
was interrupted goes on without asking again.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr

from drr_agent.lines import append_line, numbered_lines
from drr_agent.parsing import DRAW_SECONDS


class SharedDraws(BaseChatModel):
    """A Reasoner whose replies are remembered by messages and turn.

    A call that does not come from a think node has no turn, and is remembered by its messages alone.
    """

    reasoner: BaseChatModel
    path: Path
    """Where the draws are kept, one JSON line each."""
    _replies: dict[str, AIMessage] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Read the draws that are already there; a torn last line is drawn again."""
        super().model_post_init(context)
        if self.path.exists():
            for _, line in numbered_lines(self.path):
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:
                    continue
                (self._replies[record["key"]],) = messages_from_dict([record["message"]])  # type: ignore[assignment]

    @property
    def drawn(self) -> int:
        """How many different draws there are."""
        return len(self._replies)

    @property
    def _llm_type(self) -> str:
        return "shared-draws"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        key = _key(messages, stop, run_manager, kwargs)
        if key not in self._replies:
            clock = time.monotonic()
            self._keep(key, self.reasoner.invoke(messages, stop=stop, **kwargs), clock)
        return _result(self._replies[key])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        key = _key(messages, stop, run_manager, kwargs)
        if key not in self._replies:
            clock = time.monotonic()
            self._keep(key, await self.reasoner.ainvoke(messages, stop=stop, **kwargs), clock)
        return _result(self._replies[key])

    def _keep(self, key: str, reply: AIMessage, clock: float) -> None:
        metadata = {**reply.response_metadata, DRAW_SECONDS: round(time.monotonic() - clock, 4)}
        kept = reply.model_copy(update={"response_metadata": metadata})
        append_line(self.path, {"key": key, "message": message_to_dict(kept)})
        self._replies[key] = kept


def _key(
    messages: list[BaseMessage],
    stop: list[str] | None,
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
    options: dict[str, Any],
) -> str:
    turn = None if run_manager is None else run_manager.metadata.get("drr_turn")
    asked = [(message.type, message.content) for message in messages]
    return hashlib.sha256(json.dumps([asked, stop, turn, options], default=str).encode()).hexdigest()[:32]


def _result(reply: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=reply.model_copy())])
