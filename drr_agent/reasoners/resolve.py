"""A Reasoner by one string, and one string for a Reasoner.

Loads neither torch nor any provider's package before one is asked for. API keys are read from the environment by the
provider's own package; they are no argument here and reach no name, log or message.
"""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr, ValidationError

from drr_agent.errors import ConfigError, MissingExtraError, ReasonerError, require_extra

POCKET = Path(__file__).parent / "pocket"
"""The folder of the Reasoner that ships."""

_FORMS = (
    "'pocket', 'local:PATH_OR_HUB_ID' (local:Qwen/Qwen3-0.6B), 'openai:MODEL' (openai:gpt-4o-mini, with `base_url` for "
    "vLLM, Ollama, llama.cpp or `transformers serve`), or 'PROVIDER:MODEL' (anthropic:claude-haiku-4-5)"
)
_API_TIMEOUT_SECONDS = 120.0
_API_MAX_RETRIES = 4
_PLACEHOLDER_KEY = "none-needed"
"""Servers of one's own ask for no key, but the client insists on one."""
_ALTERNATIVES = 5
"""Likeliest tokens that are asked for beside each token, for the entropy of its distribution; servers cap how many."""


def create_reasoner(
    spec: str,
    *,
    base_url: str | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    timeout: float | None = None,
    max_retries: int | None = None,
    logprobs: bool = False,
    **kwargs: Any,
) -> BaseChatModel:
    """Build a chat model from a string.

    Args:
        spec: `pocket`, `local:PATH_OR_HUB_ID`, `openai:MODEL`, or `PROVIDER:MODEL` for any other provider that
            LangChain's `init_chat_model` knows.
        base_url: the address of an API server; not for Reasoners in this process.
        temperature: by default the model's own.
        max_tokens: of one reply; by default the model's own.
        timeout: seconds a call may take; by default 120 for `openai:`.
        max_retries: of a failed API call, with growing pauses; by default 4 for `openai:`.
        logprobs: ask for each token's log probability, where the model gives them; and, of a client that can ask for
            them, for those of the five likeliest tokens in its place (`top_logprobs=` changes how many).
        **kwargs: further settings of the chat model.

    Raises:
        ReasonerError: the string is none of these forms, or the key that its provider needs is not set.
        ConfigError: a setting that this Reasoner cannot have.
        MissingExtraError: the provider's package is not installed.
    """
    kind, _, name = spec.strip().partition(":")
    if spec.strip() != "pocket" and not (kind and name):
        raise ReasonerError(f"expected a Reasoner such as {_FORMS}, got {spec!r}; write it in one of these forms")
    given = {
        "temperature": temperature,
        "max_tokens": max_tokens,
        "timeout": timeout,
        "max_retries": max_retries,
        "logprobs": logprobs or None,
        "base_url": base_url,
    }
    settings = {**{key: value for key, value in given.items() if value is not None}, **kwargs}
    if spec.strip() == "pocket":
        return _create_local(str(POCKET), settings)
    if kind == "local":
        return _create_local(name, settings)
    return _create_openai(name, settings) if kind == "openai" else _create_other(kind, name, settings)


def describe_reasoner(model: BaseChatModel) -> str:
    """A short stable name for run logs, such as `pocket` or `openai:gpt-4o-mini`; no keys, no path of this machine."""
    known = model._get_ls_params()  # the one name that every chat model has, as it tells its traces
    provider, name = known.get("ls_provider"), known.get("ls_model_name")
    if provider == "local" and getattr(model, "model", None) == str(POCKET):
        return "pocket"
    return f"{provider}:{_base_name(name)}" if provider and name else type(model).__name__


def _base_name(name: str) -> str:
    """A model's name; of an absolute path, on whatever system, its last part."""
    for flavor in (PurePosixPath, PureWindowsPath):
        if flavor(name).is_absolute():
            return flavor(name).name
    return name


def _create_local(model: str, settings: dict[str, Any]) -> BaseChatModel:
    from drr_agent.reasoners.local import LocalReasoner

    if "base_url" in settings:
        raise ConfigError(
            f"`base_url` is for API servers, got {settings['base_url']!r} for a Reasoner in this process; "
            "leave it out, or use 'openai:MODEL'"
        )
    try:
        return LocalReasoner(model=model, **settings)
    except ValidationError as error:
        raise ConfigError(
            f"expected a local Reasoner's settings, got {_first(error)}; change or leave it out"
        ) from error


def _create_openai(model: str, settings: dict[str, Any]) -> BaseChatModel:
    from langchain_openai import ChatOpenAI
    from openai import OpenAIError

    defaults: dict[str, Any] = {"timeout": _API_TIMEOUT_SECONDS, "max_retries": _API_MAX_RETRIES, "stream_usage": True}
    if "base_url" in settings and not os.environ.get("OPENAI_API_KEY"):
        defaults["api_key"] = SecretStr(_PLACEHOLDER_KEY)
    if settings.get("logprobs"):
        defaults["top_logprobs"] = _ALTERNATIVES
    try:
        return ChatOpenAI(model=model, **{**defaults, **settings})
    except OpenAIError as error:
        raise ReasonerError(
            f"expected OPENAI_API_KEY in the environment for 'openai:{model}', found none; "
            "set it, or name your own server with `base_url`"
        ) from error
    except ValidationError as error:
        raise ConfigError(f"expected settings of ChatOpenAI, got {_first(error)}; change or leave it out") from error


def _create_other(provider: str, model: str, settings: dict[str, Any]) -> BaseChatModel:
    purpose = f"the Reasoner '{provider}:{model}'"
    library = require_extra("langchain.chat_models", extra="providers", purpose=purpose)
    try:
        created: BaseChatModel = library.init_chat_model(model, model_provider=provider, **settings)
    except ImportError as error:  # its message names the provider's own package and the pip install
        raise MissingExtraError(f"{purpose} needs its provider's package: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"expected settings of {purpose}, got {_first(error)}; change or leave it out") from error
    except ValueError as error:
        raise ReasonerError(
            f"expected a Reasoner such as {_FORMS}, got '{provider}:{model}' ({error}); write it in one of these forms"
        ) from error
    return _with_alternatives(created)


def _with_alternatives(model: BaseChatModel) -> BaseChatModel:
    """The model, asking for the likeliest tokens beside each token where it asks for log probabilities and can."""
    asks = getattr(model, "logprobs", None) is True and "top_logprobs" in type(model).model_fields
    if not asks or getattr(model, "top_logprobs", None) is not None:
        return model
    return model.model_copy(update={"top_logprobs": _ALTERNATIVES})


def _first(error: ValidationError) -> str:
    """The first thing wrong; settings may hold keys, so what came is named and never shown."""
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"a wrong `{'.'.join(map(str, problem['loc']))}` ({problem['msg']})"
