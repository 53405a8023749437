"""The trace log: whole run trees of any LangChain agent, one root run a line.

For agents that do not use this package yet, and need no account anywhere: one line attaches it, and the file is what
`drr harvest` reads.

    agent = agent.with_config(callbacks=[TraceLog(path=Path("traces.jsonl"))])

Attach it at the root: a handler sees what runs below the place it is attached to, and nothing above. A line is the run
in the fields of LangSmith's `Run`, with its children nested in `child_runs`, so what reads one reads the other.
"""

import base64
import dataclasses
import json
import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from enum import Enum
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any
from uuid import UUID

from langchain_core.runnables import Runnable
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run
from pydantic import BaseModel

from drr_agent.lines import append_line
from drr_agent.redaction import MARK
from drr_agent.redaction import redact as hide_keys

TRACE_SCHEMA = 1
"""Version of a line, written under `drr_trace`, which also tells these files from LangSmith's."""

_logger = logging.getLogger(__name__)
_DEEPEST = 100
_LARGEST = 2**63
_FOREIGN: tuple[type[Exception], ...] = (Exception,)
"""How somebody else's `repr` or `redact` fails: in any way."""
_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|(?<![a-z])pwd|authori[sz]ation|credential|(api|access|private)[-_ ]?key"
    r"|(access|auth|refresh|bearer|id|api|session)[-_ ]?token",
    re.IGNORECASE,
)
_ARGUMENTS = {"arguments", "args", "partial_json"}
"""Names of what a tool is called with, which chat messages hold as JSON text too."""


class TraceLog(BaseTracer):
    """A LangChain callback handler that writes every root run, with all that ran below it, to a JSON-lines file.

    Sync, async, threads and concurrent runs may share one. A line is written durably when its root ends. What JSON does
    not know is written as its `repr`; a line that cannot be written is an error in the logger `drr_agent.tracing`, and
    the agent goes on.

    The definitions of the components (`serialized`) are left out, and so is what stands under a name such as `api_key`
    or `passwords`, be it a text, a list or an object (numbers stay), in the arguments of a tool too; errors, metadata
    and call parameters are searched for keys besides. What people and models say is written as it is, unless `redact`
    is given.
    """

    def __init__(self, *, path: Path, redact: Callable[[str], str] | None = None) -> None:
        """Write to `path`, which is created on the first line, with its folders.

        Args:
            path: the file; processes may share it.
            redact: applied to every text before it is written. A text for which it raises is hidden as a whole.
        """
        super().__init__(_schema_format="original+chat")  # as messages: the default writes a chat down as one text
        self.path = path
        self._redact = _as_written if redact is None else _hiding(redact)

    def _on_run_create(self, run: Run) -> None:
        """Keep what came in as it came: agents add to their lists of messages as they go on."""
        run.inputs = self._payload(run.inputs)

    def _end_trace(self, run: Run) -> None:
        run.inputs, run.outputs = self._payload(run.inputs), self._payload(run.outputs)
        super()._end_trace(run)

    def _persist_run(self, run: Run) -> None:
        try:
            append_line(self.path, {"drr_trace": TRACE_SCHEMA, **self._record(run)})
        except (OSError, ValueError, TypeError, RecursionError):
            _logger.exception("trace %s is not in the log", run.id)
        finally:
            self._forget(run)

    def _payload(self, value: Any) -> Any:
        return value if value is None or isinstance(value, _Payload) else _Payload(self._plain(value))

    def _plain(self, value: Any) -> Any:
        return _plain(value, self._redact, ())

    def _record(self, run: Run) -> dict[str, Any]:
        kept = {name: run.extra.get(name) for name in ("metadata", "invocation_params")}
        return {
            "id": str(run.id),
            "name": self._plain(run.name),
            "run_type": "llm" if run.run_type == "chat_model" else str(run.run_type),
            "start_time": run.start_time.isoformat(),
            "end_time": None if run.end_time is None else run.end_time.isoformat(),
            "extra": _plain(kept, lambda text: hide_keys(self._redact(text)), ()),
            "error": None if run.error is None else self._plain(hide_keys(run.error)),
            "inputs": self._payload(run.inputs),
            "outputs": self._payload(run.outputs),
            "parent_run_id": None if run.parent_run_id is None else str(run.parent_run_id),
            "trace_id": str(run.trace_id),
            "dotted_order": run.dotted_order,
            "tags": self._plain(run.tags),
            "child_runs": [self._record(child) for child in run.child_runs],
        }

    def _forget(self, root: Run) -> None:
        """LangChain's own tracers remember the order of every run for as long as they live."""
        waiting = [root]
        while waiting:
            run = waiting.pop()
            self.order_map.pop(run.id, None)
            waiting += run.child_runs


class _Payload(dict[str, Any]):
    """Inputs or outputs that are plain JSON already."""


def _as_written(text: str) -> str:
    return text


def _hiding(redact: Callable[[str], str]) -> Callable[[str], str]:
    """Somebody else's function, which must neither break an agent nor let pass what it failed to read."""

    def hide(text: str) -> str:
        try:
            return str(redact(text))
        except _FOREIGN:
            return MARK

    return hide


def _plain(value: Any, redact: Callable[[str], str], above: tuple[int, ...]) -> Any:
    """Any value as JSON: fields of messages, models and dataclasses; `repr` of what is none of it."""
    if value is None or isinstance(value, bool | int | float | str | Enum | Real | UUID | PurePath):
        return _scalar(value, redact)
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    parts = _parts(value)
    if parts is None:
        return redact(hide_keys(_shown(value)))
    if id(value) in above or len(above) >= _DEEPEST:
        return _name(value)
    above = (*above, id(value))
    if isinstance(parts, dict):
        return {_key(key, redact): _field(key, part, redact, above) for key, part in list(parts.items())}
    return [_plain(part, redact, above) for part in list(parts)]


def _scalar(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, redact, ())
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        number = int(value)
        return number if abs(number) < _LARGEST else hex(number)
    if isinstance(value, Real):
        decimal = float(value)
        # not as null, which would make an impossible token's -inf an unknown one
        return decimal if math.isfinite(decimal) else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(decimal), "NaN")
    return redact(str(value).encode("utf-8", "replace").decode())


def _parts(value: Any) -> dict[Any, Any] | Iterable[Any] | None:
    """What a value is made of: a dictionary, a collection, or `None` where it is neither."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if isinstance(value, Runnable):  # a model or an agent that somebody hands around, with its settings
        return None
    if isinstance(value, BaseModel):
        hidden = {name for name, field in type(value).model_fields.items() if field.exclude}
        fields = {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
        return {name: part for name, part in fields.items() if name not in hidden}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return None


def _key(key: Any, redact: Callable[[str], str]) -> str:
    return key if isinstance(key, str) and key.isidentifier() else str(_plain(key, redact, ()))


def _field(key: Any, value: Any, redact: Callable[[str], str], above: tuple[int, ...]) -> Any:
    if isinstance(key, str) and _SECRET_NAME.search(key) and not (value is None or isinstance(value, Real)):
        return MARK
    if key in _ARGUMENTS and isinstance(value, str):
        value = _without_secrets(value)
    return _plain(value, redact, above)


def _without_secrets(arguments: str) -> str:
    """The JSON text of a tool's arguments. Torn JSON, which models write too, is searched for keys."""
    if not _SECRET_NAME.search(arguments):
        return arguments
    try:
        given = json.loads(arguments)
        shown = _plain(given, _as_written, ())
        return arguments if shown == given else json.dumps(shown, ensure_ascii=False)
    except (ValueError, RecursionError):
        return hide_keys(arguments)


def _shown(value: Any) -> str:
    if isinstance(value, Runnable):  # its `repr` holds its settings
        return _name(value)
    try:
        return repr(value).encode("utf-8", "replace").decode()
    except _FOREIGN:
        return _name(value)


def _name(value: Any) -> str:
    return f"<{type(value).__qualname__}>"
