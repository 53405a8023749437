"""The same draws for every strategy, so that strategies differ and luck does not.

Strategies that ask the same Reasoner the same messages at the same turn get the same reply: drawn once, paid once, and
a comparison over them is paired. Each strategy is still charged for every call it makes. Draws are kept in a file, so
an evaluation that was interrupted goes on without asking again; another Reasoner, or the same with other settings,
draws its own.
"""

import asyncio
import hashlib
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, message_to_dict, messages_from_dict
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import PrivateAttr
from pydantic_core import to_json

from drr_agent.lines import append_line, numbered_lines
from drr_agent.metadata import DRAW_SECONDS


class SharedDraws(BaseChatModel):
    """A Reasoner whose replies are remembered by its settings, the messages and the turn.

    A call that does not come from a think node has no turn, and is remembered by its messages alone.
    """

    reasoner: BaseChatModel
    path: Path
    """Where the draws are kept, one JSON line each."""
    _replies: dict[str, AIMessage] = PrivateAttr(default_factory=dict)
    _asking: defaultdict[str, asyncio.Lock] = PrivateAttr(default_factory=lambda: defaultdict(asyncio.Lock))
    """So that a draw that two runs want at once is asked for once."""

    def model_post_init(self, context: Any) -> None:
        """Read the draws that are already there; a damaged line is drawn again."""
        super().model_post_init(context)
        if self.path.exists():
            self._replies = dict(filter(None, (_read(line) for _, line in numbered_lines(self.path))))

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
        key = self._key(messages, stop, run_manager, kwargs)
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
        key = self._key(messages, stop, run_manager, kwargs)
        async with self._asking[key]:
            if key not in self._replies:
                clock = time.monotonic()
                self._keep(key, await self.reasoner.ainvoke(messages, stop=stop, **kwargs), clock)
        return _result(self._replies[key])

    def _keep(self, key: str, reply: AIMessage, clock: float) -> None:
        metadata = {**reply.response_metadata, DRAW_SECONDS: round(time.monotonic() - clock, 4)}
        kept = reply.model_copy(update={"response_metadata": metadata})
        # what a vendor puts into the metadata need not be JSON, and a log probability may be minus infinity
        record = to_json({"key": key, "message": message_to_dict(kept)}, inf_nan_mode="strings", fallback=str)
        append_line(self.path, json.loads(record))
        self._replies[key] = kept

    def _key(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None,
        options: dict[str, Any],
    ) -> str:
        turn = None if run_manager is None else run_manager.metadata.get("drr_turn")
        asked = [(message.type, message.content) for message in messages]
        settings = self.reasoner._get_llm_string()  # every setting and no secret, as langchain's own cache keys it
        return hashlib.sha256(json.dumps([settings, asked, stop, turn, options], default=str).encode()).hexdigest()[:32]


def _read(line: bytes) -> tuple[str, AIMessage] | None:
    try:
        record = json.loads(line)
        (message,) = messages_from_dict([record["message"]])
        return record["key"], cast("AIMessage", message)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _result(reply: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=reply.model_copy())])
