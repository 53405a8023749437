"""drr: one thin command a verb.

Exit status: 0 done, 1 done but what was asked for is not there (no answer, nothing harvested, runs that failed), 2 bad
input or settings, 3 done but for damaged entries, which are named, 130 interrupted. Results go to standard output,
progress and errors to standard error.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["main"]

_INTERRUPTED = 130

_REFUSALS = (
    *(("openai", "OpenAIError"), ("anthropic", "AnthropicError")),
    *(("httpx", "HTTPError"), ("httpx", "InvalidURL"), ("httpx2", "HTTPError"), ("httpx2", "InvalidURL")),
)
"""Errors of providers' clients, by module. None is imported here, which takes long; what is not loaded raises none."""


def main() -> None:
    """Run a command; an expected error is one message, never a traceback and never a key."""
    # idle OpenMP threads that spin take the cores from the rest of the program; read once, when torch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with _leaving_at_once():
        from drr_agent.cli.commands import app
        from drr_agent.cli.console import errors
        from drr_agent.redaction import redact

    try:
        app()
    except _expected() as error:
        errors.print("error:", style="bold red", end=" ")
        errors.print(redact(f"{type(error).__name__}: {error}"), highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        _leave_interrupted()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # what typer makes of Ctrl-C
            _leave_interrupted()
        raise


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """While modules load, which takes seconds: an interrupted import may turn the interrupt into any error."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _leave_interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_interrupted(*_: object) -> NoReturn:
    sys.stderr.write("interrupted; what is on disk is whole, and the same command does the rest\n")
    sys.stdout.flush()
    sys.stderr.flush()
    # a worker that is inside torch while the interpreter winds down aborts the process; what is kept is on the disk
    os._exit(_INTERRUPTED)


def _expected() -> tuple[type[Exception], ...]:
    """Ours, the system's (a full disk, a folder in a file's place), and a provider's; asked once an error is there."""
    from drr_agent.errors import DRRError

    refusals = (getattr(sys.modules[module], name) for module, name in _REFUSALS if module in sys.modules)
    return (DRRError, OSError, *refusals)
