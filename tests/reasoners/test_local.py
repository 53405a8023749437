"""A local folder as a chat model: settings, batching, streaming, errors."""

import asyncio
import copy
import gc
import json
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from drr_agent.errors import ConfigError, ReasonerError
from drr_agent.reasoners import LocalReasoner


@pytest.fixture(scope="module")
def reasoner(tiny_folder):
    """Loaded once for this file."""
    model = LocalReasoner(model=str(tiny_folder), max_tokens=40, temperature=1.5)
    model.load()
    return model


def stream(model, prompt, **settings):
    return list(model.stream(prompt, **settings))


def join(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def test_reply_has_text_usage_and_metadata(reasoner):
    reply = reasoner.invoke("abc", seed=1, max_tokens=7)
    prompt = len("abc") + 2
    assert isinstance(reply, AIMessage)
    assert "<eos>" not in reply.text
    assert reply.usage_metadata == {"input_tokens": prompt, "output_tokens": 7, "total_tokens": prompt + 7}
    assert reply.response_metadata.items() >= {"finish_reason": "length", "model_name": "tiny"}.items()
    assert "logprobs" not in reply.response_metadata


def test_loading_shows_no_bar(tiny_folder, capfd):
    LocalReasoner(model=str(tiny_folder), max_batch=3).load()
    assert capfd.readouterr() == ("", "")


def test_logprobs_have_the_shape_of_the_openai_api(reasoner):
    reply = reasoner.invoke("abc", seed=1, logprobs=True)
    content = reply.response_metadata["logprobs"]["content"]
    ended = reply.response_metadata["finish_reason"] == "stop"
    assert len(content) == reply.usage_metadata["output_tokens"] - ended
    assert all(set(entry) == {"token", "logprob", "bytes"} and entry["logprob"] <= 0 for entry in content)
    assert all(entry["bytes"] in (None, list(entry["token"].encode())) for entry in content)
    assert any(entry["bytes"] for entry in content)


@pytest.mark.parametrize(
    ("settings", "alike"),
    [
        pytest.param({"temperature": 0}, True, id="greedy"),
        pytest.param({"seed": 5}, True, id="seeded"),
        pytest.param({}, False, id="unseeded draws are independent"),
    ],
)
def test_repeated_calls(reasoner, settings, alike):
    texts = {reasoner.invoke("abc", **settings).text for _ in range(3)}
    assert (len(texts) == 1) == alike


@pytest.mark.parametrize("mode", ["invoke in threads", "ainvoke", "batch"])
def test_concurrent_calls_equal_single_ones(reasoner, mode):
    prompts = ["a", "bcd" * 5, "xyz"] * 3
    single = [reasoner.invoke(prompt, seed=2).text for prompt in prompts]

    async def gather():
        return await asyncio.gather(*(reasoner.ainvoke(prompt, seed=2) for prompt in prompts))

    if mode == "ainvoke":
        replies = asyncio.run(gather())
    elif mode == "batch":
        replies = reasoner.batch(prompts, seed=2)
    else:
        with ThreadPoolExecutor(9) as pool:
            replies = list(pool.map(lambda prompt: reasoner.invoke(prompt, seed=2), prompts))
    assert [reply.text for reply in replies] == single


@pytest.mark.parametrize("seed", range(6))
def test_stream_gives_the_text_of_invoke(reasoner, seed):
    whole = reasoner.invoke("abc", seed=seed, logprobs=True)
    chunks = stream(reasoner, "abc", seed=seed, logprobs=True)
    joined = join(chunks)
    assert (joined.text, joined.usage_metadata) == (whole.text, whole.usage_metadata)
    assert joined.response_metadata.items() >= whole.response_metadata.items()
    assert len(chunks) > 2
    assert chunks[-1].chunk_position == "last"


async def test_async_stream_gives_the_same_pieces(reasoner):
    pieces = [chunk.text async for chunk in reasoner.astream("abc", seed=3)]
    assert pieces == [chunk.text for chunk in stream(reasoner, "abc", seed=3)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("bound", [pytest.param(False, id="of the call"), pytest.param(True, id="of the reasoner")])
def test_stop_is_cut_and_ends_the_reply(reasoner, streamed, bound):
    whole = reasoner.invoke("abc", seed=1)
    stop = whole.text[8:10]
    model = reasoner.model_copy(update={"stop": [stop]}) if bound else reasoner
    settings = {"seed": 1} if bound else {"seed": 1, "stop": [stop]}
    reply = join(stream(model, "abc", **settings)) if streamed else model.invoke("abc", **settings)
    assert reply.text == whole.text[: whole.text.index(stop)]
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata["output_tokens"] < whole.usage_metadata["output_tokens"]


def test_generation_config_fills_what_is_not_set(tiny_folder):
    model = LocalReasoner(model=str(tiny_folder))
    engine = model.load()
    before = copy.deepcopy(engine._generation)
    try:
        engine._generation.temperature, engine._generation.max_new_tokens = 0.25, 9
        engine._generation.top_k = 0
        filled = engine.make_job([HumanMessage("a")], model.replace({}))
        chosen = engine.make_job([HumanMessage("a")], model.replace({"temperature": 0, "max_tokens": 3, "top_k": 4}))
    finally:
        engine._generation = before
    assert (filled.temperature, filled.max_tokens, filled.top_k, filled.top_p) == (0.25, 9, None, 1.0)
    assert (chosen.temperature, chosen.max_tokens, chosen.top_k) == (0, 3, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"temperature": -1}, "temperature=-1", id="negative temperature"),
        pytest.param({"max_tokens": 0}, "max_tokens=0", id="no tokens"),
        pytest.param({"top_p": 1.5}, "top_p=1.5", id="top_p over one"),
        pytest.param({"seed": -3}, "seed=-3", id="negative seed"),
        pytest.param({"stop": [""]}, "stop.0=''", id="empty stop"),
        pytest.param({"tools": []}, "tools=", id="unknown setting"),
    ],
)
def test_bad_call_settings(reasoner, settings, message):
    with pytest.raises(ConfigError, match=message):
        reasoner.invoke("abc", **settings)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        pytest.param("a" * 200, "shorter than the 128 tokens", id="prompt over the context"),
        pytest.param([SystemMessage("be kind")], "roles system .*no system message", id="role the template refuses"),
        pytest.param(
            [HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])],
            "messages of text, got blocks of",
            id="an image",
        ),
    ],
)
def test_bad_messages(reasoner, messages, error):
    with pytest.raises(ReasonerError, match=error):
        reasoner.invoke(messages)


def test_text_blocks_and_ai_messages_are_read(reasoner):
    blocks = [
        HumanMessage([{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]),
        AIMessage("d"),
        HumanMessage("e"),
    ]
    plain = [HumanMessage("ab\nc"), AIMessage("d"), HumanMessage("e")]
    assert reasoner.invoke(blocks, seed=1).text == reasoner.invoke(plain, seed=1).text


def test_reply_ends_where_the_context_does(reasoner):
    reply = reasoner.invoke("a" * 120, max_tokens=100, seed=1)
    assert reply.usage_metadata["total_tokens"] <= 128


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("/nowhere/nothing", "expected a folder at '/nowhere/nothing', found none", id="a path"),
        pytest.param("./nothing", "expected a folder at './nothing', found none; check the path", id="one from here"),
        pytest.param("~/nothing", "expected a folder at '~/nothing', found none", id="one from home"),
        pytest.param(
            "no/thing", r"expected a folder or a hub id .* got 'no/thing'.*; check the path, or", id="a hub id"
        ),
    ],
)
def test_model_that_is_not_there(monkeypatch, tmp_path, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReasonerError, match=message):
        LocalReasoner(model=name).invoke("abc")


def test_model_that_is_damaged(tiny_folder, tmp_path):
    for source in tiny_folder.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes()[: 100 if source.suffix == ".safetensors" else None])
    with pytest.raises(ReasonerError, match="SafetensorError"):
        LocalReasoner(model=str(tmp_path)).load()


@pytest.mark.parametrize("config", ["config.json", "tokenizer_config.json"])
def test_a_folder_runs_no_code_of_its_own_and_asks_nobody(tiny_folder, tmp_path, monkeypatch, config):
    folder = tmp_path / "own-code"
    shutil.copytree(tiny_folder, folder)
    names = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    settings = json.loads((folder / config).read_text())
    owned = {**settings, "auto_map": names, "model_type": "own", "tokenizer_class": "Tokenizer"}
    (folder / config).write_text(json.dumps(owned))
    (folder / "own.py").write_text("raise AssertionError('its code ran')")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked on the terminal"))
    with pytest.raises(ReasonerError, match="trust_remote_code"):
        LocalReasoner(model=str(folder)).invoke("hi")


def test_model_without_a_chat_template(tiny_folder, tmp_path):
    for source in tiny_folder.iterdir():
        if source.suffix != ".jinja":
            (tmp_path / source.name).write_bytes(source.read_bytes())
    with pytest.raises(ReasonerError, match="without one; take its instruct version"):
        LocalReasoner(model=str(tmp_path)).load()


def test_weights_are_shared_and_let_go(tiny_folder):
    import weakref

    first = LocalReasoner(model=str(tiny_folder), max_batch=3)
    second = LocalReasoner(model=str(tiny_folder), max_batch=3, temperature=0)
    assert first.load() is second.load()
    engine = weakref.ref(first.load())
    del first, second
    gc.collect()
    assert engine() is None


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["deepcopy", "pickle"]
)
def test_a_loaded_reasoner_can_be_copied(reasoner, copied):
    twin = copied(reasoner)
    assert twin.load() is reasoner.load()
    assert twin.invoke("abc", seed=1).text == reasoner.invoke("abc", seed=1).text


async def test_cancelled_call_leaves_the_batch_whole(reasoner):
    alone = (await reasoner.ainvoke("abc", seed=1)).text
    calls = [asyncio.create_task(reasoner.ainvoke("abc", seed=1, max_tokens=40)) for _ in range(4)]
    await asyncio.sleep(0.01)
    calls[1].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert {result.text for index, result in enumerate(results) if index != 1} == {alone}


def test_closed_stream_cancels_its_row(reasoner, monkeypatch):
    engine, jobs = reasoner.load(), []
    submit = engine.batcher.submit
    monkeypatch.setattr(engine.batcher, "submit", lambda job: jobs.append(job) or submit(job))
    chunks = reasoner.stream("abc", seed=1)
    next(chunks)
    chunks.close()
    assert [job.cancelled for job in jobs] == [True]


async def test_the_event_loop_is_free_while_a_reply_is_drawn(reasoner, monkeypatch):
    engine, drawing = reasoner.load(), []
    make_job = engine.make_job

    def slow(*args):
        time.sleep(0.2)
        drawing.append("drawn")
        return make_job(*args)

    monkeypatch.setattr(engine, "make_job", slow)
    call = asyncio.create_task(reasoner.ainvoke("abc", seed=1))
    await asyncio.sleep(0.02)
    assert drawing == []
    await call
    assert drawing == ["drawn"]


@pytest.mark.parametrize("mode", ["invoke", "stream", "ainvoke", "astream"])
def test_timeout(reasoner, monkeypatch, mode):
    from concurrent.futures import Future

    monkeypatch.setattr(reasoner.load().batcher, "submit", lambda job: Future())
    late = reasoner.model_copy(update={"timeout": 0.05})

    async def drain():
        return [chunk async for chunk in late.astream("abc")]

    calls = {
        "invoke": lambda: late.invoke("abc"),
        "stream": lambda: list(late.stream("abc")),
        "ainvoke": lambda: asyncio.run(late.ainvoke("abc")),
        "astream": lambda: asyncio.run(drain()),
    }
    with pytest.raises(ReasonerError, match=r"a reply of 'tiny' within 0\.05 seconds") as caught:
        calls[mode]()
    assert isinstance(caught.value, TimeoutError)


def test_traces_show_no_path(reasoner, tiny_folder):
    assert str(tiny_folder.parent) not in str(reasoner._get_ls_params())


def test_settings_that_are_none_of_its_own_are_refused(tiny_folder):
    with pytest.raises(ValueError, match="nonsense"):
        LocalReasoner(model=str(tiny_folder), nonsense=1)
