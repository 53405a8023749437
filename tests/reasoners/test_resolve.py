"""Reasoners by one string, and one string for a Reasoner."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import ChatOpenAI

from drr_agent.errors import ConfigError, MissingExtraError, ReasonerError
from drr_agent.reasoners import LocalReasoner, create_reasoner, describe_reasoner
from drr_agent.reasoners.resolve import POCKET

SECRET = "sk-a-key-that-must-not-be-seen"
SERVER = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("spec", "settings", "kind", "name"),
    [
        pytest.param("pocket", {}, LocalReasoner, "pocket", id="pocket"),
        pytest.param(" pocket ", {}, LocalReasoner, "pocket", id="with spaces around"),
        pytest.param("local:/models/tiny-1", {}, LocalReasoner, "local:tiny-1", id="a folder by its base name"),
        pytest.param("local:Qwen/Qwen3-0.6B", {}, LocalReasoner, "local:Qwen/Qwen3-0.6B", id="a hub id"),
        pytest.param("openai:gpt-x", {"base_url": SERVER}, ChatOpenAI, "openai:gpt-x", id="a server"),
        pytest.param("openai:qwen:7b", {"base_url": SERVER}, ChatOpenAI, "openai:qwen:7b", id="a name with a colon"),
        pytest.param("openai:/srv/models/m", {"base_url": SERVER}, ChatOpenAI, "openai:m", id="a served folder"),
        pytest.param(
            "openai:C:\\models\\m", {"base_url": SERVER}, ChatOpenAI, "openai:m", id="a served Windows folder"
        ),
    ],
)
def test_create_and_describe(spec, settings, kind, name):
    reasoner = create_reasoner(spec, **settings)
    assert isinstance(reasoner, kind)
    assert describe_reasoner(reasoner) == name


def test_a_model_without_a_name_is_described_by_its_class():
    assert describe_reasoner(FakeListChatModel(responses=["a"])) == "FakeListChatModel"


def test_local_settings_arrive():
    reasoner = create_reasoner(
        "pocket", temperature=0, max_tokens=5, timeout=3, max_retries=1, logprobs=True, seed=4, top_k=2
    )
    assert isinstance(reasoner, LocalReasoner)
    assert reasoner.model == str(POCKET)
    settings = (
        reasoner.temperature,
        reasoner.max_tokens,
        reasoner.timeout,
        reasoner.logprobs,
        reasoner.seed,
        reasoner.top_k,
    )
    assert settings == (0, 5, 3, True, 4, 2)


@pytest.mark.parametrize(
    ("given", "timeout", "retries"),
    [
        pytest.param({}, 120.0, 4, id="explicit by default"),
        pytest.param({"timeout": 7.5, "max_retries": 0}, 7.5, 0, id="as asked, zero included"),
    ],
)
def test_openai_settings_arrive(given, timeout, retries):
    reasoner = create_reasoner("openai:m", base_url=SERVER, temperature=0.0, max_tokens=9, logprobs=True, **given)
    assert isinstance(reasoner, ChatOpenAI)
    assert (reasoner.request_timeout, reasoner.max_retries) == (timeout, retries)
    assert (reasoner.temperature, reasoner.max_tokens, reasoner.logprobs) == (0.0, 9, True)
    assert (reasoner.stream_usage, reasoner.openai_api_base) == (True, SERVER)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        pytest.param({"logprobs": True}, 5, id="with log probabilities"),
        pytest.param({"logprobs": True, "top_logprobs": 2}, 2, id="as many as told"),
        pytest.param({}, None, id="without"),
    ],
)
def test_alternatives_are_asked_for_beside_log_probabilities(given, asked):
    reasoner = create_reasoner("openai:m", base_url=SERVER, **given)
    assert reasoner.top_logprobs == asked
    assert reasoner._default_params.get("top_logprobs") == asked


class Client(FakeListChatModel):
    logprobs: bool | None = None


class ListingClient(Client):
    top_logprobs: int | None = None


@pytest.mark.parametrize(
    ("model", "asked"),
    [
        pytest.param(ListingClient(responses=["a"], logprobs=True), 5, id="can"),
        pytest.param(ListingClient(responses=["a"], logprobs=True, top_logprobs=0), 0, id="was told not to"),
        pytest.param(ListingClient(responses=["a"]), None, id="asks for none"),
        pytest.param(Client(responses=["a"], logprobs=True), None, id="cannot"),
        pytest.param(FakeListChatModel(responses=["a"]), None, id="has no log probabilities"),
    ],
)
def test_other_clients_are_asked_for_alternatives_where_they_can(monkeypatch, model, asked):
    library = SimpleNamespace(init_chat_model=lambda *_, **__: model)
    monkeypatch.setattr("drr_agent.reasoners.resolve.require_extra", lambda *_, **__: library)
    assert getattr(create_reasoner("vendor:m", logprobs=True), "top_logprobs", None) == asked


def test_the_key_comes_from_the_environment_and_is_not_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    reasoner = create_reasoner("openai:gpt-x", base_url=SERVER)
    assert isinstance(reasoner, ChatOpenAI)
    assert reasoner.openai_api_key.get_secret_value() == SECRET
    shown = [
        repr(reasoner),
        str(reasoner),
        describe_reasoner(reasoner),
        str(reasoner._get_ls_params()),
        str(reasoner.asdict()),
    ]
    assert not any(SECRET in text for text in shown)


def test_a_key_in_a_wrong_place_is_not_shown():
    with pytest.raises(ConfigError) as caught:
        create_reasoner("pocket", openai_api_key=SECRET)
    assert SECRET not in str(caught.value)
    assert "openai_api_key" in str(caught.value)


@pytest.mark.parametrize("spec", ["", "gpt-4o", ":x", "local:", "openai:", "pocket:x", "nobody:model"])
def test_unknown_strings_list_the_forms(spec):
    with pytest.raises(
        ReasonerError, match=r"'pocket', 'local:PATH_OR_HUB_ID'.*'openai:MODEL'.*'PROVIDER:MODEL'"
    ) as caught:
        create_reasoner(spec)
    assert repr(spec) in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "settings", "error", "message"),
    [
        pytest.param("openai:gpt-x", {}, ReasonerError, "OPENAI_API_KEY in the environment", id="no key"),
        pytest.param(
            "pocket", {"base_url": SERVER}, ConfigError, "`base_url` is for API servers", id="address of none"
        ),
        pytest.param("pocket", {"temperature": -1}, ConfigError, "wrong `temperature`", id="temperature below zero"),
        pytest.param("pocket", {"nonsense": 1}, ConfigError, "wrong `nonsense`", id="no such setting"),
        pytest.param(
            "openai:m", {"base_url": SERVER, "max_retries": "x"}, ConfigError, "max_retries", id="of another type"
        ),
    ],
)
def test_bad_settings(spec, settings, error, message):
    with pytest.raises(error, match=message):
        create_reasoner(spec, **settings)


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        pytest.param("langchain", r"pip install 'drr-agent\[providers\]'", id="langchain itself"),
        pytest.param("langchain_anthropic", "pip install langchain-anthropic", id="the provider's package"),
    ],
)
def test_missing_packages_name_their_install(monkeypatch, hidden, message):
    for module in [name for name in sys.modules if name.partition(".")[0] == hidden]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, hidden, None)
    with pytest.raises(MissingExtraError, match=message):
        create_reasoner("anthropic:claude-x")


def test_importing_loads_neither_torch_nor_transformers():
    program = (
        "import sys, drr_agent.reasoners as r; r.create_reasoner('pocket'); "
        "assert not {'torch', 'transformers', 'langchain_openai', 'langchain'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
