"""Calls of agents that never used this package, as runs of one or more turns."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from drr_agent.grading import AUTO
from drr_agent.parsing import get_parser
from drr_agent.runs import check_run
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.drops import Flaw
from drr_agent.training.labels import Labeler
from drr_agent.training.sources.attempts import RunSource
from drr_agent.training.sources.protocol import LoggedRun, LostEntry
from drr_agent.training.sources.traces.calls import group_calls, read_call

AT = "2026-01-01T00:00:0{}.000+00:00"


def draft(answer="4", **changes):
    plain = {
        "rationale": "because",
        "answer": answer,
        "truncated": False,
        "logprobs": None,
        "feedback": "first",
        "error": None,
        "usage": {"calls": 1, "unmetered_calls": 0, "input_tokens": 10, "output_tokens": 5},
        "seconds": 0.5,
    }
    return {**plain, **changes}


def call(call_id="c1", answer="4", **changes):
    plain = {
        "id": call_id,
        "place": f"line {call_id}",
        "thread": "t",
        "started_at": None,
        "question": "2 + 2?",
        "context": "",
        "draft": draft(answer),
        "reasoner": "m",
        "target": None,
        "labels": [],
        "dataset": None,
    }
    return {**plain, **changes}


def said(value, source="feedback:thumbs"):
    return {"turn": None, "value": value, "source": source, "at": None}


def grouped(*found):
    return list(group_calls(found))


def runs(*found):
    entries = grouped(*found)
    assert all(isinstance(entry, LoggedRun) for entry in entries), entries
    assert [check_run(entry.run) for entry in entries] == [None] * len(entries), "each is a run to the letter"
    return entries


# from messages to a call


def ask(*messages, reply=None, error=None, parser="answer", seconds=1.0):
    return read_call(messages, reply, parser=get_parser(parser), error=error, seconds=seconds)


REPLY = AIMessage("two and two\nAnswer: 4")


def test_question_context_and_draft():
    question, context, found = ask(
        SystemMessage("be brief"), HumanMessage("hi"), AIMessage("hello"), HumanMessage("2 + 2?"), reply=REPLY
    )
    assert (question, context) == ("2 + 2?", "system: be brief\nhuman: hi\nai: hello")
    assert (found["rationale"], found["answer"], found["error"], found["seconds"]) == ("two and two", "4", None, 1.0)
    assert found["usage"]["unmetered_calls"] == 1, "what nobody counted is unknown"


@pytest.mark.parametrize(
    ("messages", "reply", "error", "expected"),
    [
        pytest.param([], REPLY, None, Flaw("no question", ""), id="no messages"),
        pytest.param([SystemMessage("x"), AIMessage("y")], REPLY, None, Flaw("no question", ""), id="nobody asked"),
        pytest.param([HumanMessage("  \n")], REPLY, None, Flaw("no question", ""), id="a blank question"),
        pytest.param([HumanMessage("q")], None, None, Flaw("no reply", ""), id="no reply"),
        pytest.param([HumanMessage(" ")], None, "TimeoutError", Flaw("no question", ""), id="nothing at all"),
    ],
)
def test_what_is_no_call_is_named(messages, reply, error, expected):
    assert ask(*messages, reply=reply, error=error) == expected


@pytest.mark.parametrize("reply", [None, REPLY], ids=["without a reply", "with half of one"])
@pytest.mark.parametrize("error", ["TimeoutError: slow", ""])
def test_a_call_that_failed_is_a_failed_draft(reply, error):
    question, _, found = ask(HumanMessage("q"), reply=reply, error=error)
    assert (question, found["error"], found["answer"]) == ("q", error, None)
    assert found["usage"] == {"calls": 1, "unmetered_calls": 1, "input_tokens": 0, "output_tokens": 0}


def test_an_error_holds_no_key():
    _, _, found = ask(HumanMessage("q"), error="401: sk-proj-aB3dE5fG7hJ9kL1m")
    assert found["error"] == "401: [redacted]"


@pytest.mark.parametrize(
    ("parser", "content", "answer"),
    [
        pytest.param("answer", "so\nAnswer: 4", "4", id="a line"),
        pytest.param("answer", "who knows", None, id="no line is no answer"),
        pytest.param("message", "four", "four", id="the whole reply"),
        pytest.param("number", "so\nAnswer: 41 apples", "41", id="a number"),
    ],
)
def test_the_parser_reads_the_reply(parser, content, answer):
    assert ask(HumanMessage("q"), reply=AIMessage(content), parser=parser)[2]["answer"] == answer


def test_the_last_human_message_is_the_question_and_what_follows_is_not():
    after = [AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": "1"}]), ToolMessage("4", tool_call_id="1")]
    question, context, _ = ask(HumanMessage("first"), HumanMessage("second"), *after, reply=REPLY)
    assert (question, context) == ("second", "human: first")


def test_texts_in_parts_and_half_characters():
    parts = [{"type": "text", "text": "caf\ud800"}, {"type": "image_url", "image_url": "x"}]
    question, context, _ = ask(SystemMessage("\udfff"), HumanMessage(parts), reply=REPLY)
    assert (question, context) == ("caf?", "system: ?")


# from calls to runs


def test_a_call_is_a_run_of_one_turn():
    [entry] = runs(call("c1", dataset="d", target="4", started_at=AT.format(1), context="human: hi"))
    assert (entry.place, list(entry.ids), entry.dataset) == ("line c1", ["c1"], "d")
    expected = {
        "question": "2 + 2?",
        "context": "human: hi",
        "answer": "4",
        "choice": 0,
        "accepted": False,
        "score": None,
        "dm": None,
        "origin": "traced",
        "target": "4",
        "reasoner": "m",
        "started_at": AT.format(1),
        "seconds": 0.5,
    }
    assert {name: entry.run[name] for name in expected} == expected
    [attempt] = entry.run["attempts"]
    assert (attempt["turn"], attempt["feedback"], attempt["verdict"], attempt["score"]) == (1, "first", None, None)
    assert attempt["signals"]["answer_found"] == 1.0


@pytest.mark.parametrize(
    ("calls", "turns"),
    [
        pytest.param([call("a"), call("b")], [["a", "b"]], id="one question in one thread"),
        pytest.param([call("a", question="2 + 2?"), call("b", question=" 2 + 2 ?")], [["a", "b"]], id="put otherwise"),
        pytest.param([call("a"), call("b", question="3 + 3?")], [["a"], ["b"]], id="two questions"),
        pytest.param([call("a"), call("b", thread="u")], [["a"], ["b"]], id="two threads"),
        pytest.param([call("a"), call("b", reasoner="n")], [["a"], ["b"]], id="two Reasoners"),
        pytest.param([call("a", thread=None), call("b", thread=None)], [["a"], ["b"]], id="no thread"),
        pytest.param(
            [call(name, started_at=AT.format(second)) for name, second in (("b", 1), ("a", 2), ("c", 0))],
            [["c", "b", "a"]],
            id="in the order of their times",
        ),
        pytest.param([call("b"), call("c"), call("a")], [["a", "b", "c"]], id="without times in that of ids"),
    ],
)
def test_what_makes_a_run(calls, turns):
    for order in (calls, calls[::-1]):
        found = runs(*order)
        assert sorted(list(entry.ids) for entry in found) == turns
        assert [[a["turn"] for a in entry.run["attempts"]] for entry in found] == [
            list(range(1, len(entry.ids) + 1)) for entry in found
        ]


def test_later_turns_are_fresh_ones_and_know_those_before():
    [entry] = runs(call("a", "4"), call("b", "5"), call("c", None))
    attempts = entry.run["attempts"]
    assert [attempt["feedback"] for attempt in attempts] == ["first", "fresh", "fresh"]
    assert (entry.run["answer"], entry.run["choice"]) == ("5", 1), "the last that has an answer stands"
    assert entry.run["usage"]["calls"] == 3
    assert entry.run["seconds"] == 1.5


def test_no_answer_is_no_choice():
    [entry] = runs(call("a", None), call("b", None))
    assert (entry.run["answer"], entry.run["choice"]) == (None, None)


def test_labels_are_of_their_turns():
    [entry] = runs(
        call("a", labels=[said("correct")]), call("b"), call("c", labels=[said("incorrect"), said(None, "x")])
    )
    assert [(label["turn"], label["value"]) for label in entry.run["labels"]] == [
        (1, "correct"),
        (3, "incorrect"),
        (3, None),
    ]


def test_a_target_and_a_dataset_are_found_wherever_they_stand():
    [entry] = runs(call("a"), call("b", target="4", dataset="d"))
    assert (entry.run["target"], entry.dataset) == ("4", "d")


def test_a_run_keeps_its_id_when_an_export_grows():
    before = {entry.run["run_id"] for entry in runs(call("a"), call("b", thread=None))}
    after = {entry.run["run_id"] for entry in runs(call("c"), call("a"), call("b", thread=None), call("d", thread="u"))}
    assert before < after
    assert len(after) == 3


def test_a_call_that_comes_again_is_named_and_what_it_knows_counts():
    first = call("a", labels=[said("correct")], target="4")
    again = {**call("a", labels=[said("incorrect", "human:ann")]), "place": "line 9"}
    duplicate, entry = grouped(first, again)
    assert duplicate == LostEntry("line 9", Flaw("duplicate", "id a came before"))
    assert len(entry.run["attempts"]) == 1
    assert [label["source"] for label in entry.run["labels"]] == ["feedback:thumbs", "human:ann"]
    assert entry.run["target"] == "4"


def test_what_was_lost_passes_through():
    lost = LostEntry("line 7", Flaw("unreadable", "torn"))
    assert grouped(lost, call("a"))[0] == lost
    assert grouped(lost) == [lost]
    assert grouped() == []


def test_a_failed_call_is_a_turn_that_failed():
    [entry] = runs(call("a", None, draft=draft(None, error="TimeoutError: slow")), call("b"))
    assert [attempt["error"] for attempt in entry.run["attempts"]] == ["TimeoutError: slow", None]
    assert entry.run["answer"] == "4"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"thread": "\ud800"}, id="a thread"),
        pytest.param({"id": "\ud800"}, id="an id"),
        pytest.param({"reasoner": "\ud800"}, id="a Reasoner"),
        pytest.param({"dataset": "\ud800"}, id="a dataset"),
        pytest.param({"target": "\ud800"}, id="a target"),
        pytest.param({"labels": [said("correct", "human:\ud800")]}, id="who labelled"),
    ],
)
def test_half_a_character_costs_no_more_than_its_call(changes, tmp_path):
    class Traces:
        location, kind = "traces", "traces"

        def entries(self):
            return group_calls([{**call("bad", thread="u"), **changes}, call("good")])

    found = [outcome.content for outcome in RunSource(reader=Traces(), labeler=Labeler(grader=AUTO)).outcomes()]
    kept = [content for content in found if isinstance(content, dict)]
    assert [content.reason for content in found if isinstance(content, Flaw)] in ([], ["bad value"])
    assert "good" in {row["id"] for row in write_dataset(kept, tmp_path / "data").iter_rows()}


def test_the_rows_know_their_calls(tmp_path):
    class Traces:
        location, kind = "traces", "traces"

        def entries(self):
            return group_calls([call("a", target="4"), call("b", "5", thread=None, started_at=AT.format(1))])

    source = RunSource(reader=Traces(), labeler=Labeler(grader=AUTO))
    rows = {outcome.content["id"]: outcome.content for outcome in source.outcomes()}
    assert [(name, rows["a"][name]) for name in ("label", "labelled_at", "started_at", "prompts", "origin")] == [
        ("label", "correct"),
        ("labelled_at", None),
        ("started_at", None),
        ("prompts", None),
        ("origin", "traced"),
    ]
    assert (rows["b"]["started_at"], rows["b"]["propensity"]) == (AT.format(1), None)


def test_calls_are_on_disk_and_not_in_memory():
    def found():
        for number in range(300):
            yield call(f"{number}", thread=f"{number}", context="x" * 100_000)

    tracemalloc.start()
    assert sum(len(entry.run["context"]) for entry in group_calls(found())) == 30_000_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


some_calls = st.lists(
    st.builds(
        call,
        st.sampled_from("abcdefgh"),
        st.none() | st.sampled_from(["4", "5"]),
        thread=st.sampled_from([None, "t", "u"]),
        reasoner=st.sampled_from(["m", "n"]),
        question=st.sampled_from(["2 + 2?", "3 + 3?"]),
        started_at=st.sampled_from([None, *(AT.format(n) for n in range(3))]),
    ),
    max_size=10,
    unique_by=lambda one: one["id"],
)


@settings(max_examples=200)
@given(some_calls, st.randoms())
def test_every_call_is_one_turn_whatever_the_order(calls, random):
    found = runs(*calls)
    assert runs(*random.sample(calls, len(calls))) == found
    assert sorted(call_id for entry in found for call_id in entry.ids) == sorted(one["id"] for one in calls)
    known = {one["id"]: one for one in calls}
    for entry in found:
        asked = [known[call_id] for call_id in entry.ids]
        assert len({(one["thread"], one["reasoner"], one["question"]) for one in asked}) == 1
        assert [one["started_at"] or "" for one in asked] == sorted(one["started_at"] or "" for one in asked)
        assert [attempt["answer"] for attempt in entry.run["attempts"]] == [one["draft"]["answer"] for one in asked]
