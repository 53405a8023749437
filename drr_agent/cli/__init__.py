"""drr: one thin command a verb.

Exit status: 0 done, 1 done but what was asked for is not there (no answer, nothing harvested, runs that failed), 2 bad
input or settings, 130 interrupted. Results go to standard output, progress and errors to standard error.
"""

import os
import sys
from typing import NoReturn

from drr_agent.errors import DRRError, http_status, redact

__all__ = ["main"]

_INTERRUPTED = 130

_CLIENTS = ("openai", "anthropic", "httpx", "httpx2")
"""Packages whose every error is about a call or its settings; known by name, for importing them takes long."""


def main() -> None:
    """Run a command; an expected error is one message, never a traceback and never a key."""
    # idle OpenMP threads that spin take the cores from the rest of the program; read once, when torch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from drr_agent.cli.commands import app
    from drr_agent.cli.console import errors

    try:
        app()
    except Exception as error:  # the predicate says which are expected; a mistake of ours keeps its traceback
        if not _is_expected(error):
            raise
        errors.print("error:", style="bold red", end=" ")
        errors.print(redact(f"{type(error).__name__}: {error}"), highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        _leave_interrupted()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # what typer makes of Ctrl-C
            _leave_interrupted()
        raise


def _leave_interrupted() -> NoReturn:
    from drr_agent.cli.console import errors

    errors.print("interrupted; the same command goes on where it stopped")
    sys.stdout.flush()
    sys.stderr.flush()
    # a worker that is inside torch while the interpreter winds down aborts the process; what is kept is on the disk
    os._exit(_INTERRUPTED)


def _is_expected(error: Exception) -> bool:
    """Ours, the system's (a full disk, a folder in a file's place), or a provider's refusal."""
    package = type(error).__module__.partition(".")[0]
    provider = package in _CLIENTS or http_status(error) is not None
    return provider or isinstance(error, DRRError | OSError)
