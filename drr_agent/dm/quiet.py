"""Keep transformers from talking over our own progress and errors.

What it says is set for the whole process. Blocks of several threads may overlap: the last one to end restores what the
first one found.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

_LOCK = threading.Lock()


class _Voice(NamedTuple):
    """What transformers and its hub client say."""

    verbosity: int
    bars: bool
    downloads: bool
    """Bars of downloads."""


_FOUND: list[_Voice] = []
"""For each block that is open, what the first of them found."""


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No bars and no reports while a model is loaded or saved; what matters of them is checked by the caller."""
    with _quieted(everything=True):
        yield


@contextmanager
def quiet_weights() -> Iterator[None]:
    """No bar while weights are read. Reports are still made, and downloads, which may take minutes, keep their bars."""
    with _quieted(everything=False):
        yield


@contextmanager
def _quieted(*, everything: bool) -> Iterator[None]:
    from huggingface_hub import utils as hub_utils
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging  # functions without types, here and in the hub's
    hub: Any = hub_utils
    with _LOCK:
        found = _Voice(logging.get_verbosity(), logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled())
        _FOUND.append(_FOUND[0] if _FOUND else found)
        logging.disable_progress_bar()
        if everything:
            logging.set_verbosity_error()
        elif found.downloads:
            hub.enable_progress_bars()
    try:
        yield
    finally:
        with _LOCK:
            first = _FOUND.pop()
            if not _FOUND:
                _restore(first, logging, hub)


def _restore(voice: _Voice, logging: Any, hub: Any) -> None:
    logging.set_verbosity(voice.verbosity)
    if voice.bars:
        logging.enable_progress_bar()
    if voice.downloads:
        hub.enable_progress_bars()
    else:
        hub.disable_progress_bars()
