"""A chat model over any causal language model in this process."""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import AliasChoices, ConfigDict, Field, PrivateAttr, SecretStr

from drr_agent.errors import ReasonerError
from drr_agent.reasoners.sampling import Sampling
from drr_agent.reasoners.transcript import cut_at_stop

if TYPE_CHECKING:
    from drr_agent.reasoners.decoding import Completion, Job
    from drr_agent.reasoners.engine import Engine

Emit = Callable[[str | None], None]
"""Is given each piece of a streamed reply, and at its end `None`."""


class ReasonerTimeoutError(ReasonerError, TimeoutError):
    """A Reasoner gave no reply in time; asking again may help."""


class _Call(NamedTuple):
    """One sample on its way."""

    job: "Job"
    future: "Future[Completion]"
    sampling: Sampling


class LocalReasoner(Sampling, BaseChatModel):
    """A chat model over a local folder or a hub id of any causal language model with a chat template.

    The model is loaded at the first call, once per process for the same `model`, `device`, `dtype` and `max_batch`.
    Concurrent calls, of threads and of an event loop alike, are decoded together as one batch, each with its own
    settings. The settings of `Sampling` can also be given per call: `reasoner.invoke(messages, seed=7)`.

    Of the model's generation config, `temperature`, `top_p`, `top_k`, `max_new_tokens` and the end tokens are used.

    Example:
        >>> reasoner = LocalReasoner(model="path/to/folder", temperature=0.7, logprobs=True)
        >>> reasoner.invoke("What is 17 + 25?").text
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str = Field(validation_alias=AliasChoices("model", "model_name"))
    """A folder, or a hub id."""
    device: str = "auto"
    """CUDA when there is one, else the CPU."""
    dtype: str = "auto"
    """bfloat16 on CUDA, else float32."""
    max_batch: int = Field(default=64, ge=1)
    """The most calls decoded at once; memory for keys and values grows with it."""
    streaming: bool = False
    """Draw by streaming even under `invoke`, as LangChain's chat models do."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds to wait for a reply, or for the next piece of a streamed one; waiting for a batch counts."""
    max_retries: int | None = None
    """Accepted since every chat model has it; there is no network here to retry."""
    api_key: SecretStr | None = Field(default=None, exclude=True)
    """Accepted since every chat model has it, and used for nothing."""

    _engine: "Engine | None" = PrivateAttr(default=None)

    @property
    def label(self) -> str:
        """The folder's base name, or the hub id."""
        path = Path(self.model).expanduser()
        return path.resolve().name if path.is_absolute() or path.exists() else self.model

    @property
    def _llm_type(self) -> str:
        return "drr-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        sampling = {name: getattr(self, name) for name in Sampling.model_fields}
        return {"model": self.model, "dtype": self.dtype, **sampling}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        """What traces show: the model's label, never a path of this machine."""
        settings = {"model": self.label, **kwargs}
        params = super()._get_ls_params(stop=self.stop if stop is None else stop, **settings)
        return LangSmithParams(**{**params, "ls_provider": "local"})

    def load(self) -> "Engine":
        """Load the model now, rather than at the first call.

        Raises:
            ReasonerError: it cannot be loaded.
        """
        from drr_agent.reasoners.engine import EngineSource, load_engine

        source = EngineSource(self.model, self.device, self.dtype, self.max_batch)
        if self._engine is None or self._engine.source != source:
            self._engine = load_engine(source)
        return self._engine

    def _submit(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any], emit: Emit | None = None
    ) -> _Call:
        """Queue one sample for the next batch."""
        kwargs.pop("stream", None)  # LangChain's own switch between `_generate` and `_stream`
        sampling = self.replace(kwargs if stop is None else {**kwargs, "stop": stop})
        engine = self.load()
        job = engine.make_job(messages, sampling, emit)
        future = engine.batcher.submit(job)
        if emit is not None:
            future.add_done_callback(lambda _: emit(None))
        return _Call(job, future, sampling)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        call = self._submit(messages, stop, kwargs)
        try:
            completion = call.future.result(self.timeout)
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            call.job.cancelled = True
        return self._result(call, completion)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,
    ) -> ChatResult:
        call = await asyncio.to_thread(self._submit, messages, stop, kwargs)
        try:
            completion = await asyncio.wait_for(asyncio.wrap_future(call.future), self.timeout)
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            call.job.cancelled = True
        return self._result(call, completion)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        call = self._submit(messages, stop, kwargs, pieces.put)
        said = ""
        try:
            while (piece := pieces.get(timeout=self.timeout)) is not None:
                said += piece
                chunk = _piece_chunk(piece)
                if run_manager:
                    run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        except queue.Empty as error:
            raise self._too_late() from error
        finally:
            call.job.cancelled = True
        last = self._last_chunk(call, said)
        if run_manager:
            run_manager.on_llm_new_token(last.text, chunk=last)
        yield last

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        emit = _across_threads(asyncio.get_running_loop(), pieces)
        call = await asyncio.to_thread(self._submit, messages, stop, kwargs, emit)
        said = ""
        try:
            while (piece := await asyncio.wait_for(pieces.get(), self.timeout)) is not None:
                said += piece
                chunk = _piece_chunk(piece)
                if run_manager:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            call.job.cancelled = True
        last = self._last_chunk(call, said)
        if run_manager:
            await run_manager.on_llm_new_token(last.text, chunk=last)
        yield last

    def _result(self, call: _Call, completion: "Completion") -> ChatResult:
        text, usage, metadata = self._describe(call, completion)
        message = AIMessage(text, usage_metadata=usage, response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _last_chunk(self, call: _Call, said: str) -> ChatGenerationChunk:
        """What is left of the text, with the usage and metadata of the whole."""
        text, usage, metadata = self._describe(call, call.future.result())
        message = AIMessageChunk(
            content=text[len(said) :], usage_metadata=usage, response_metadata=metadata, chunk_position="last"
        )
        return ChatGenerationChunk(message=message)

    def _describe(self, call: _Call, completion: "Completion") -> tuple[str, UsageMetadata, dict[str, Any]]:
        """A completion's text, token counts and response metadata."""
        engine = self.load()
        spoken = engine.spoken(completion)
        asked, given = len(call.job.prompt), len(completion.tokens)
        metadata: dict[str, Any] = {"finish_reason": "stop" if completion.ended else "length", "model_name": self.label}
        if call.sampling.logprobs:
            content = [engine.describe_token(*pair) for pair in zip(spoken, completion.logprobs, strict=False)]
            metadata["logprobs"] = {"content": content}
        usage = UsageMetadata(input_tokens=asked, output_tokens=given, total_tokens=asked + given)
        return cut_at_stop(engine.decode(spoken), call.sampling.stop or ()), usage, metadata

    def _too_late(self) -> ReasonerTimeoutError:
        return ReasonerTimeoutError(
            f"expected a reply of {self.label!r} within {self.timeout!r} seconds, got none; "
            "raise `timeout`, or lower `max_tokens` or the number of concurrent calls"
        )


def _piece_chunk(piece: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=piece))


def _across_threads(loop: asyncio.AbstractEventLoop, pieces: "asyncio.Queue[str | None]") -> Emit:
    """Puts pieces into an event loop's queue from the decoding thread."""

    def emit(piece: str | None) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody listens any more
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    return emit
