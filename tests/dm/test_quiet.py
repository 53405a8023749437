"""Loading is quiet, and what transformers said before is what it says afterwards."""

import pytest
from huggingface_hub import utils as hub
from transformers.utils import logging

from drr_agent.dm.quiet import quiet_loading, quiet_weights

LOUD, SILENT, WEIGHTS = (logging.INFO, True, True), (logging.ERROR, False, False), (logging.INFO, False, True)


def voice():
    """Verbosity, bars, and bars of downloads."""
    return logging.get_verbosity(), logging.is_progress_bar_enabled(), not hub.are_progress_bars_disabled()


@pytest.fixture(autouse=True)
def loud():
    before = voice()
    logging.set_verbosity_info()
    logging.enable_progress_bar()
    yield
    logging.set_verbosity(before[0])


@pytest.mark.parametrize(
    ("kinds", "inside"),
    [
        pytest.param([quiet_loading], SILENT, id="all"),
        pytest.param([quiet_weights], WEIGHTS, id="weights"),
        pytest.param([quiet_loading, quiet_weights], SILENT, id="weights within all"),
        pytest.param([quiet_weights, quiet_loading], SILENT, id="all within weights"),
        pytest.param([quiet_loading, quiet_loading], SILENT, id="twice"),
    ],
)
@pytest.mark.parametrize("first_to_end", [0, -1], ids=["overlapping", "nested"])
def test_the_last_to_end_restores_what_the_first_found(kinds, inside, first_to_end):
    blocks = [kind() for kind in kinds]
    for block in blocks:
        block.__enter__()
    assert voice() == inside
    while blocks:
        assert voice() != LOUD
        blocks.pop(first_to_end).__exit__(None, None, None)
    assert voice() == LOUD


def test_bars_that_were_off_stay_off():
    logging.disable_progress_bar()
    with quiet_weights():
        assert voice() == (logging.INFO, False, False)
    assert voice() == (logging.INFO, False, False)
    with quiet_loading():
        pass
    assert voice() == (logging.INFO, False, False)


def test_an_error_restores_it_too():
    with pytest.raises(KeyError), quiet_loading():
        raise KeyError
    assert voice() == LOUD
