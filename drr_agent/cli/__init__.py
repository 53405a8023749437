"""drr: one thin command a verb.

Exit status: 0 done, 1 done but what was asked for is not there (no answer, nothing harvested, runs that failed), 2 bad
input or settings, 130 interrupted. Results go to standard output, progress and errors to standard error.
"""

import os
import sys

from drr_agent.errors import DRRError

__all__ = ["main"]


def main() -> None:
    """Run a command; an expected error is one message, never a traceback."""
    # idle OpenMP threads that spin take the cores from the rest of the program; read once, when torch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from rich.markup import escape

    from drr_agent.cli.commands import app
    from drr_agent.cli.console import errors

    try:
        app()
    except DRRError as error:
        errors.print("[bold red]error:[/]", escape(f"{type(error).__name__}: {error}"), highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command goes on where it stopped")
        sys.exit(130)
