"""The exception tree.

DRRError
├── ConfigError         a setting that cannot work (also a ValueError)
├── MissingExtraError   an optional package is not installed (also an ImportError)
├── DataError           a log, a sample file or a dataset that cannot be used (also a ValueError)
│   └── DamagedError    its content is damaged; what was read before the damage stands
├── DMError             a DM folder that cannot be loaded, or a DM that broke its contract
└── ReasonerError       a Reasoner that cannot be built or reached

UncertifiedWarning      a graph runs what its DM's certificate is not about (a UserWarning)

Every message says what was expected, what came, and what to do.
"""

from importlib import import_module
from types import ModuleType


class DRRError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(DRRError, ValueError):
    """A setting that cannot work."""


class MissingExtraError(DRRError, ImportError):
    """An optional package is needed and not installed."""


class DataError(DRRError, ValueError):
    """A log, a sample file or a dataset cannot be used as it is."""


class DamagedError(DataError):
    """The content of a source is damaged where it is read; what was read before stands, and other sources are whole."""


class DMError(DRRError):
    """A DM folder cannot be loaded, or a DM broke its contract."""


class ReasonerError(DRRError):
    """A Reasoner cannot be built or reached."""


class UncertifiedWarning(UserWarning):
    """A graph runs what its DM's certificate is not about."""


def require_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which `pip install` brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs `{module}`, which is not installed: pip install 'drr-agent[{extra}]'"
        ) from error


def http_status(error: BaseException) -> int | None:
    """The HTTP status that an error of a provider's client carries, wherever it keeps it."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return int(status)
    return None
