"""Keep transformers from talking over our own progress and errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No bars and no reports while a model is loaded or saved; what matters of them is checked by the caller."""
    from transformers.utils import logging as hub_logging

    logging: Any = hub_logging  # its functions carry no types

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
