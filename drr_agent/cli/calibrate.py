"""drr calibrate: from logits to probabilities, and to where the loop stops."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from drr_agent.cli import options
from drr_agent.cli.app import app
from drr_agent.cli.calibrate_text import Fitted, refuse, tell_calibration
from drr_agent.cli.console import errors
from drr_agent.dm.certificate import percent
from drr_agent.dm.folder import read_manifest, update_manifest
from drr_agent.dm.manifest import DMManifest
from drr_agent.dm.staging import changing
from drr_agent.errors import ConfigError, DataError
from drr_agent.grading import get_grader
from drr_agent.replay.units import worth_in_calls
from drr_agent.training.behaviors import Behavior
from drr_agent.training.calibrate import calibrate_dm
from drr_agent.training.certification import Promise, Terms, certify_half
from drr_agent.training.dataset import Dataset, load_dataset
from drr_agent.training.refusal import Refusal
from drr_agent.training.stopping import PRICES
from drr_agent.training.threshold import calibrate_consensus
from drr_agent.training.worth import calibrate_stopping

_CONFIDENCE = 0.95
_MOST_CALLS = 1 / min(PRICES)
"""What a right answer can be worth: what one more turn brings is learned up to there."""
_EXPONENT = re.compile(r"^\s*\d+(\.\d+)?e[+-]?\d+", re.IGNORECASE)


@app.command()
def calibrate(
    dm: Annotated[Path, typer.Argument(help="A DM made by `drr train`.")],
    dataset: options.DatasetFolder,
    max_turns: options.MaxTurns = 8,
    mean_calls: Annotated[
        float | None,
        typer.Option(
            min=1.0, help="Most Reasoner calls a question on average; by default what adaptive self-consistency uses."
        ),
    ] = None,
    worth: Annotated[
        str | None,
        typer.Option(
            help="What a right answer is worth to you: `50` or `50 calls`, `20000 tokens`, `0.05 usd`. By default "
            "50 calls, or what --mean-calls, or adaptive self-consistency's calls, allow.",
        ),
    ] = None,
    price_in: Annotated[
        float | None, typer.Option(help="For a worth in USD: USD per million input tokens, if not the list price.")
    ] = None,
    price_out: Annotated[float | None, typer.Option(help="The same for output tokens.")] = None,
    target_error: Annotated[
        float | None,
        typer.Option(
            help="Certify: at most this share of the accepted answers is wrong, such as 0.05. Half of the questions "
            "then fit, and the other half certifies."
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help=f"With what confidence it is certified; by default {_CONFIDENCE}."),
    ] = None,
    drawn_at_random: Annotated[
        bool,
        typer.Option(
            "--drawn-at-random",
            help="For --target-error, where many runs are unjudged: chance chose those that are judged. By "
            "`drr label --order random` it did, and nobody needs to say so.",
        ),
    ] = False,
    grader: options.GraderName = "auto",
    seed: options.Seed = 0,
    json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn a DM's logits into probabilities on the calibration split, and choose there when the loop stops.

    Runs that explored (`create_drr_graph(…, explore=0.05)`) stand for those that an accept, a stop or a review cut off.
    What has an answer without a label is left out of the loop's part.

    What it prints of the loop is on the very questions the threshold was chosen on, and so a little too good: use
    `drr evaluate` with fresh questions before you believe it.

    With `--target-error`, the threshold is one for which a share of wrong answers among the accepted is certified, and
    how much is accepted is told. Where the labels cannot support that, it says how many would be needed. A certificate
    is of one calibration: every new one, with or without `--target-error`, drops the older certificate; what is refused
    leaves a certified DM as it was.

        drr calibrate dm data --target-error 0.05 --confidence 0.95
    """
    manifest = read_manifest(dm)
    certifies = None if target_error is None else _share("--target-error", target_error)
    sureness = None if confidence is None else _share("--confidence", confidence)
    _refuse_ignored(manifest, worth=worth, mean_calls=mean_calls, target_error=certifies, confidence=sureness)
    if drawn_at_random and certifies is None:
        raise ConfigError("`--drawn-at-random` is of a certificate, got no `--target-error`; drop it, or add one")
    data, equality = load_dataset(dataset), get_grader(grader)
    terms = None
    if certifies is not None:
        terms = Terms(
            target_error=certifies,
            confidence=sureness or _CONFIDENCE,
            max_turns=max_turns,
            grader=equality,
            drawn=drawn_at_random,
        )
    calls = _worth_in_calls(worth, data.rows("calibration"), price_in, price_out)
    if manifest.text is not None:
        data.require_texts(instead="train on signals alone (`--inputs signals`), or ")

    def fit(rows: Sequence[Behavior]) -> Fitted:
        metrics = calibrate_dm(folder, rows, seed=seed, progress=not quiet)
        consensus = calibrate_consensus(
            folder, rows, max_turns=max_turns, mean_calls=mean_calls, grader=equality, seed=seed
        )
        stopping = calibrate_stopping(
            folder, rows, max_turns=max_turns, mean_calls=mean_calls, worth=calls, grader=equality, seed=seed
        )
        return Fitted(metrics, consensus, stopping)

    with changing(dm) as folder:  # the old calibration goes with its threshold and certificate, or none of them does
        promise, fitted = _calibrate(folder, data, fit, terms)
        if manifest.certificates and isinstance(promise, Refusal) and terms is not None:  # the older one is worth more
            refuse(promise, terms, data, kept=manifest.certificates)
    for certificate in manifest.certificates:
        errors.print(
            f"the certificate of at most {percent(certificate.target_error)} wrong answers is dropped: it was of the "
            "calibration before this one",
            style="yellow",
        )
    tell_calibration(fitted, promise, terms, dm=dm, data=data, max_turns=max_turns, json=json)


def _share(option: str, value: float) -> float:
    """A share as it is; of a percentage, what to write."""
    if 0.0 < value < 1.0:
        return value
    meant = f"{value / 100:g}" if 1 < value < 100 else "0.05 for 5 %"
    raise ConfigError(f"`{option}` must be between 0 and 1, got {value:g}; write {meant}")


def _refuse_ignored(
    manifest: DMManifest,
    *,
    worth: str | None,
    mean_calls: float | None,
    target_error: float | None,
    confidence: float | None,
) -> None:
    """Refuse settings that would change nothing, or that say the same thing twice.

    Raises:
        ConfigError: says which to drop.
    """
    if worth is not None and mean_calls is not None:
        raise ConfigError(
            f"`--worth` and `--mean-calls` each say how long to think, got {worth!r} and {mean_calls!r}; give one"
        )
    if confidence is not None and target_error is None:
        raise ConfigError(
            f"`--confidence` is of a certificate, got {confidence:g} without `--target-error`; drop it, or add "
            "`--target-error 0.05`"
        )
    if manifest.stopping is not None:
        return
    if worth is not None:
        why = manifest.no_stopping or "it was trained without"
        raise ConfigError(
            f"`--worth` is for a DM that has learned when to stop, got {worth!r} for one that has not ({why}); drop "
            "it, or say how long to think by `--mean-calls`"
        )
    if mean_calls is not None and target_error is not None:
        raise ConfigError(
            f"`--mean-calls` and `--target-error` each choose this DM's threshold, got {mean_calls:g} and "
            f"{target_error:g}; drop one"
        )


def _worth_in_calls(
    worth: str | None, rows: Sequence[Behavior], price_in: float | None, price_out: float | None
) -> float | None:
    """A worth in Reasoner calls, as far as stopping is learned.

    Raises:
        ConfigError: it is none; or prices that no worth asks for.
        DataError: what it is in calls, these rows do not tell.
    """
    in_usd = worth is not None and any(unit in worth.casefold() for unit in ("usd", "$"))
    if not in_usd and (price_in is not None or price_out is not None):
        raise ConfigError(
            f"`--price-in` and `--price-out` are for a worth in USD, got {worth!r}; drop them, or write "
            "`--worth '0.5 usd'`"
        )
    if worth is None:
        return None
    plain = _EXPONENT.sub(lambda found: f"{float(found[0]):f}", worth)
    try:
        calls = worth_in_calls(plain, rows, price_in=price_in, price_out=price_out)
    except DataError as error:
        if in_usd and price_in is None:
            raise DataError(f"{error}, or give prices: `--price-in` and `--price-out`") from error
        raise
    if calls > _MOST_CALLS:
        errors.print(
            f"{worth} is {calls:,.0f} Reasoner calls; what one more turn brings is learned up to {_MOST_CALLS:,.0f}, "
            "which is taken: the loop thinks on while there is anything to gain",
            style="yellow",
        )
    return min(calls, _MOST_CALLS)


def _calibrate(
    folder: Path, data: Dataset, fit: Callable[[Sequence[Behavior]], Fitted], terms: Terms | None
) -> tuple[Promise | None, Fitted]:
    """Fit, and certify where terms are given; what is not certified costs the calibration no question."""
    rows = data.rows("calibration")
    update_manifest(folder, certificates=())
    if terms is None:
        return None, fit(rows)
    promise, fitted = certify_half(folder, rows, fit, terms, dataset=data.digest)
    return promise, fit(rows) if fitted is None or isinstance(promise, Refusal) else fitted
