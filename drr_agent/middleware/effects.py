"""What the loop waits for, and the two ways of waiting: the loop itself is written once, as a generator."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import RunnableConfig, var_child_runnable_config
from langgraph.constants import TAG_NOSTREAM

T = TypeVar("T")
Handler = Callable[[ModelRequest[Any]], ModelResponse[Any]]
AsyncHandler = Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]


class ModelCall(NamedTuple):
    """One call of the agent's model, through the middleware that stands further in."""

    request: ModelRequest[Any]
    handler: Any
    """A `Handler` where we wait in a thread, an `AsyncHandler` on an event loop."""
    hidden: bool
    """Whether its tokens are kept from the user's stream."""
    seconds_left: float | None
    """The event loop waits no longer. A thread that waits for a reply cannot be called back."""

    def make(self) -> ModelResponse[Any]:
        """Make it."""
        with _unstreamed(self.hidden):
            response: ModelResponse[Any] = self.handler(self.request)
        return response

    async def amake(self) -> ModelResponse[Any]:
        """Make it."""
        limit = asyncio.timeout(self.seconds_left)
        try:
            with _unstreamed(self.hidden):
                async with limit:
                    response: ModelResponse[Any] = await self.handler(self.request)
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError("no reply within what the run's budget leaves of its seconds") from error
            raise
        return response


class Step(NamedTuple):
    """A node of the loop over a state of its own."""

    node: Runnable[Any, Any]
    state: dict[str, Any]

    def make(self) -> Any:
        """Run it."""
        return self.node.invoke(self.state)

    async def amake(self) -> Any:
        """Run it."""
        return await self.node.ainvoke(self.state)


Effects = Generator[ModelCall | Step, Any, T]


def drive(effects: Effects[T]) -> T:
    """Run a generator of effects in this thread; an effect that fails, fails in the generator."""
    try:
        effect = next(effects)
        while True:
            try:
                made = effect.make()
            except Exception as error:  # the generator knows which of them it takes
                effect = effects.throw(error)
            else:
                effect = effects.send(made)
    except StopIteration as end:
        value: T = end.value
        return value


async def adrive(effects: Effects[T]) -> T:
    """Run a generator of effects on the event loop; an effect that fails, fails in the generator."""
    try:
        effect = next(effects)
        while True:
            try:
                made = await effect.amake()
            except Exception as error:  # as above
                effect = effects.throw(error)
            else:
                effect = effects.send(made)
    except StopIteration as end:
        value: T = end.value
        return value


@contextmanager
def _unstreamed(hidden: bool) -> Iterator[None]:  # noqa: FBT001
    """Model calls in here are tagged as none to stream.

    By the context and not by a tag on a copy of the model: middleware further in may put another model in its place,
    and a copy would not share what a model counts.
    """
    if not hidden:
        yield
        return
    config: RunnableConfig = var_child_runnable_config.get() or {}
    tagged: RunnableConfig = {**config, "tags": [*(config.get("tags") or []), TAG_NOSTREAM]}
    token = var_child_runnable_config.set(tagged)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)
