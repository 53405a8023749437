"""drr: one thin command a verb.

Exit status: 0 done, 1 done but what was asked for is not there (no answer accepted, nothing harvested), 2 bad input or
settings, 130 interrupted. Results go to standard output, progress and errors to standard error.
"""

import sys

from drr_agent.cli import ask, demo, distill, doctor, evaluate, harvest, train  # noqa: F401 - each adds its command
from drr_agent.cli.app import app
from drr_agent.cli.console import errors
from drr_agent.errors import DRRError

__all__ = ["app", "main"]


def main() -> None:
    """Run a command; an expected error is one message, never a traceback."""
    try:
        app()
    except DRRError as error:
        errors.print(f"[bold red]error:[/] {type(error).__name__}:", str(error), highlight=False, markup=True)
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("interrupted; the same command goes on where it stopped")
        sys.exit(130)
