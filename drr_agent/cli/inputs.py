"""What several commands read from their arguments."""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from drr_agent.cli.console import errors
from drr_agent.dm.folder import load_dm
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.protocol import DiscriminativeModel
from drr_agent.dm.quiet import quiet_loading
from drr_agent.errors import ConfigError, UncertifiedWarning
from drr_agent.evaluation.certification import certificates_of
from drr_agent.evaluation.samples import read_samples
from drr_agent.prompts import CONFIDENCE, Prompts
from drr_agent.reasoners import create_reasoner
from drr_agent.reasoners.local import LocalReasoner
from drr_agent.reasoners.word_problems import generate
from drr_agent.state import Sample
from drr_agent.training.behaviors import SPLITS, Split

_MAX_TURNS = 8
_GENERATED = re.compile(r"pocket:(\d+)")


def open_reasoner(spec: str, *, logprobs: bool | None, quiet: bool = False, **settings: Any) -> BaseChatModel:
    """A Reasoner by name, asked for log probabilities where its kind gives them.

    Quietly, one of this process is loaded here, since it is loaded with bars at its first call.
    """
    gives = spec == "pocket" or spec.startswith(("local:", "openai:"))
    model = create_reasoner(spec, logprobs=gives if logprobs is None else logprobs, **settings)
    if quiet and isinstance(model, LocalReasoner):
        with quiet_loading():
            model.load()
    return model


def wordings(*, ask_confidence: bool) -> Prompts | None:
    """How the Reasoner is asked; `None` is the wording that is used by default."""
    return Prompts(confidence=CONFIDENCE) if ask_confidence else None


def open_dm(path: str | Path) -> TransformersDM | SignalDM:
    """A saved DM; says so when nobody has calibrated it."""
    dm = load_dm(path)
    if dm.manifest.calibrated_on != "calibration":
        errors.print(f"the DM at {path} is not calibrated yet: run `drr calibrate`", style="yellow", highlight=False)
    return dm


def turns_of(given: int | None, dm: DiscriminativeModel | None) -> int:
    """The most turns: what is given, else what the DM's latest certificate is about, else 8."""
    if given is not None:
        return given
    certificates = certificates_of(dm)
    return certificates[-1].max_turns if certificates else _MAX_TURNS


@contextmanager
def telling_uncertified() -> Iterator[None]:
    """Print what a graph says of its DM's certificate as a message; other warnings stay warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if issubclass(warning.category, UncertifiedWarning):
            errors.print(str(warning.message), style="yellow", highlight=False)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def pairs(settings: Iterable[str] | None) -> dict[str, str]:
    """`ROLE=COLUMN` options as a mapping.

    Raises:
        ConfigError: an option without `=`.
    """
    mapping = {}
    for setting in settings or ():
        role, equals, column = setting.partition("=")
        if not equals:
            raise ConfigError(f"`--map` takes ROLE=COLUMN, got {setting!r}; write `--map target=gold`")
        mapping[role.strip()] = column.strip()
    return mapping


def parse_fractions(text: str) -> dict[Split, float]:
    """`0.6,0.15,0.15,0.1` as shares of the splits, in their order.

    Raises:
        ConfigError: not one number a split.
    """
    try:
        shares = [float(part) for part in text.split(",")]
        return dict(zip(SPLITS, shares, strict=True))
    except ValueError as error:
        raise ConfigError(
            f"`--fractions` takes {len(SPLITS)} numbers, such as 0.6,0.15,0.15,0.1, got {text!r}"
        ) from error


def read_questions(text: str, *, mapping: dict[str, str], seed: int) -> list[Sample]:
    """Samples from a file, or `pocket:N` generated ones.

    Raises:
        DataError: the file cannot be read.
    """
    generated = _GENERATED.fullmatch(text)
    return generate(int(generated[1]), seed=seed) if generated else read_samples(Path(text), mapping=mapping)
