"""The command-line application; each verb's module adds its command."""

from typing import Annotated

import typer

app = typer.Typer(
    name="drr",
    help="Think, score, decide: a small judge, trained on your agent's own attempts, tells it when to stop.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:  # noqa: FBT001 - a callback of typer's
    if show:
        from drr_agent import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Think, score, decide: a small judge, trained on your agent's own attempts, tells it when to stop.

    The offline path is distill → harvest → train → calibrate → replay → evaluate; `drr demo` walks it once, offline.
    """
