"""The page of a replay: what it says, that it is one file, and that what was said stays text."""

import re
import sys
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from pages import Page
from replay.logs import SignalDM, make_log

from drr_agent.errors import MissingExtraError
from drr_agent.evaluation.report import ScoreHistogram, title_of
from drr_agent.evaluation.verdict import Verdict, judge_single_attempts
from drr_agent.replay import ReplayConfig, read_replay, replay, write_replay
from drr_agent.replay.charts import _curves, draw_pictures
from drr_agent.replay.page import render_page
from drr_agent.replay.report import PAGE, Limit, SignalValue, Spread
from drr_agent.training.curve_record import Curve, CurvePoint, Doubling
from drr_agent.training.power_law import PowerLaw

HOSTILE = "<script>alert('&')</script>"
CURVE = Curve(
    points=tuple(
        CurvePoint(share=share, questions=int(400 * share), attempts=int(2000 * share), trainings=1, **measures)
        for share, measures in (
            (0.25, {"skipped": "one class"}),
            (0.5, {"within_question_auroc": 0.7}),
            (1.0, {"within_question_auroc": 0.8}),
        )
    ),
    mixed_questions=50,
    law=PowerLaw(a=0.9, b=1.0, c=0.4),
    doubling=Doubling(questions=800, gain=0.03, low=-0.01, high=0.05),
    summary="Twice the labelled questions would add 0.03.",
    train_config={"backbone": "/a/path/of/mine"},
)


def value(name, lost, **changes):
    spread = Spread(mean=lost, low=lost - 0.01, high=lost + 0.01)
    return SignalValue(
        **{"name": name, "members": [name], "known": 0.9, "auroc": spread, "log_loss": spread, **changes}
    )


@pytest.fixture(scope="module")
def report():
    """A replay with everything on its page, by two hostile Reasoners, about hostile text."""
    rows = [
        *make_log(60, seed=1, draws=3, question=HOSTILE, rationale=HOSTILE, reasoner=f"a {HOSTILE}"),
        *make_log(60, seed=2, draws=3, dataset=HOSTILE, rationale=HOSTILE * 3),
    ]
    config = ReplayConfig(
        policies=("threshold",), max_turns=3, resamples=50, progress=False, curve=CURVE, title=HOSTILE
    )
    found = replay(rows, SignalDM(), choose_on=make_log(40, seed=3, draws=3), config=config)
    signals = [value(f"s_{HOSTILE}", 0.2), value("two", 0.1, members=["two", "more"]), *(value("few", 0.0),) * 11]
    limits = [Limit(kind="hostile", count=1, text=f"{HOSTILE} is not known.")]
    return found.model_copy(update={"signals": signals, "limits": limits})


@pytest.fixture(scope="module")
def html(report):
    return render_page(report)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.fixture(scope="module")
def pictures(report):
    return draw_pictures(report)


@pytest.fixture
def undrawn(monkeypatch):
    """No pictures, which take their time, where a test is about words."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_the_page_asks_for_nothing_and_runs_nothing(html, page):
    assert page.open == []
    assert [address for address in page.addresses if not address.startswith("#")] == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)


def test_what_was_said_is_escaped(html, page):
    assert "<script" not in html
    text = page.text
    assert text.count(HOSTILE) > 8, "title, Reasoner, dataset, question, rationale, signal and limit"


def test_the_settings_of_the_training_stay_where_they_are(report, html):
    assert report.curve.train_config == {}
    assert "/a/path/of/mine" not in html


def test_the_parts_of_the_page_come_in_order(report, page):
    text = " ".join(page.text.split())
    parts = [
        title_of(report.verdict.reason)[1:],
        "What each policy would have done",
        "Accuracy against cost",
        "Where threshold stops",
        "on the same questions",
        "Turn by turn",
        "The discriminative model",
        "Does a score mean what it says?",
        "Scores where a question has right and wrong attempts",
        "What each signal is worth",
        "1 more, of less value",
        "More labels",
        "Where it does well, and where not",
        "Read some: fixed and harmed",
        "What this log cannot tell",
        "Made with",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("word", "finding"),
    [
        pytest.param("use it", "Use it.", id="use"),
        pytest.param("shadow it", "Shadow it: run it beside what you use now", id="shadow"),
        pytest.param("do not", "Do not use it.", id="do not"),
    ],
)
def test_the_verdict_is_in_plain_words(report, undrawn, word, finding):
    verdict = Verdict(word=word, reason="one attempt is enough.", setting=None)
    html = render_page(report.model_copy(update={"verdict": verdict}))
    text = " ".join(re.sub("<[^>]*>", " ", html[html.index("<h1>") :]).split())
    assert text.index(finding) < text.index("One attempt is enough.") < text.index("What each policy")


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        pytest.param(
            Verdict(word="do not", reason="12 labelled questions are too few.", setting=None, unknown=True),
            "Not yet: this log cannot tell. 12 labelled questions are too few.",
            id="too few labels",
        ),
        pytest.param(
            judge_single_attempts("drr at 0.5"),
            "Not yet: this log cannot tell. There is one attempt a question, so the log cannot tell what thinking "
            "again would bring; log several (drr distill --attempts 8, or",
            id="one attempt a question",
        ),
        pytest.param(
            Verdict(word="use it", reason="drr at 0.8 is `better` than self_consistency.", setting=None),
            "Use it. DRR at 0.8 is better than self consistency.",
            id="names as prose has them",
        ),
    ],
)
def test_the_verdict_is_said_as_it_is_meant(report, undrawn, verdict, told):
    html = render_page(report.model_copy(update={"verdict": verdict}))
    text = " ".join(Page(html).text.split())
    assert told in text
    assert "Do not use it" not in text
    assert ("<code>better</code>" in html) == ("`" in verdict.reason and "better" in verdict.reason)


def test_turns_and_lengths_stand_in_their_natural_order(report, undrawn):
    (part, *_) = report.slices
    names = {
        "turn": ["10", "2", "1"],
        "length": ["120 to 300 characters", "9 to 40 characters", "41 to 119 characters"],
    }
    slices = [part.model_copy(update={"by": by, "name": name}) for by, some in names.items() for name in some]
    html = render_page(report.model_copy(update={"slices": slices}))
    shown = re.findall('<th scope="row">(.*?)</th>', html[html.index("Where it does well") :])
    assert shown == ["9 to 40 characters", "41 to 119 characters", "120 to 300 characters", "1", "2", "10"]


def test_signals_stand_by_what_is_lost_without_them(report, undrawn):
    signals = [value("noise", 0.0), value("some", 0.05), value("most", 0.2), value("little", 0.01)]
    text = Page(render_page(report.model_copy(update={"signals": signals}))).text
    text = text[text.index("What each signal is worth") :]
    places = [text.index(name) for name in ("most", "some", "little", "noise")]
    assert places == sorted(places)


def test_what_a_log_of_single_attempts_cannot_fill_is_left_out():
    config = ReplayConfig(policies=("threshold",), max_turns=4, resamples=20, progress=False)
    report = replay(make_log(40, draws=1), SignalDM(), config=config)
    text = Page(render_page(report)).text
    for part in ("Turn by turn", "Accuracy against cost", "on the same questions", "Scores where a question has"):
        assert part not in text
    assert "What each policy would have done" in text


def test_scores_of_no_question_are_not_drawn(report):
    nothing = ScoreHistogram(right=[0] * 20, wrong=[0] * 20)
    (only,) = draw_pictures(report.model_copy(update={"within_question": nothing}))["scores"]
    assert only.title == "Does a score mean what it says?"


def test_the_page_can_be_read_aloud(page, pictures):
    """A language, headings in order, names of pictures and of boxes that scroll, and heads of rows and columns."""
    assert ("html", {"lang": "en"}) in page.tags
    levels = [int(tag[1]) for tag in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    drawn = [attrs["aria-label"] for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert drawn == [picture.alt for part in pictures.values() for picture in part]
    scrolled = [attrs for _, attrs in page.tags if attrs.get("class") == "scroll"]
    assert all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in scrolled)
    assert len(scrolled) == sum(tag == "table" for tag, _ in page.tags), "a table never widens the page"
    assert all(attrs.get("scope") in {"row", "col"} for tag, attrs in page.tags if tag == "th")


def test_the_page_says_where_mixes_were_chosen(report, page, undrawn):
    told = "in a mix of its settings chosen on"
    assert f"{told} calibration; how often" in " ".join(page.text.split())
    alone = Page(render_page(report.model_copy(update={"chosen_on": "in sample"})))
    assert f"{told} these very questions." in " ".join(alone.text.split())


def test_ids_on_the_page_are_unique(page):
    assert len(page.ids) == len(set(page.ids))


def test_pictures_say_what_they_show(report, pictures):
    frontier, stops = pictures["policies"]
    subject = report.policies[0]
    assert f"{subject.label}: {100 * subject.chosen.point.accuracy:.1f} % right" in frontier.alt
    assert f"any attempt right: {100 * report.oracle.mean:.1f} %" in frontier.alt
    assert f"the first attempt: {100 * report.first.mean:.1f} %" in frontier.alt
    assert list(frontier.key) == ["A", "B", "C", "D"]
    assert "turn 1: accepted" in stops.alt
    assert "two 0.100 (0.090 to 0.110)" in pictures["signals"][0].alt
    assert pictures["curve"][0].alt == "Within-question AUROC. 200 questions: 0.700; 400 questions: 0.800."
    assert pictures["curve"][0].caption == CURVE.summary


def test_pictures_need_no_color_and_are_reproducible(report, pictures):
    """The policies differ in the pattern of their lines, the ends of runs in their hatching."""
    for part, again in zip(pictures.values(), draw_pictures(report).values(), strict=True):
        for picture, other in zip(part, again, strict=True):
            assert picture.svg == other.svg
            ElementTree.fromstring(picture.svg)
            assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) <= {"#000000", "#ffffff"}
    assert len(set(re.findall('stroke-dasharray: ([^;"]*)', pictures["policies"][0].svg))) >= 3
    assert "<pattern" in pictures["policies"][1].svg
    assert "<pattern" in pictures["scores"][1].svg


def test_names_beside_the_points_are_those_of_the_table(pictures, page):
    drawn = re.findall(r">([A-D])  [a-zA-Z ]+</text>", pictures["policies"][0].svg)
    assert sorted(drawn) == list("ABCD")
    assert [attrs for tag, attrs in page.tags if attrs.get("class") == "letter"] == [{"class": "letter"}] * 4


def test_a_replay_of_voting_alone_has_a_page_too():
    config = ReplayConfig(policies=("single",), against=(), max_turns=1, resamples=20, progress=False)
    report = replay(make_log(1, draws=1), None, config=config)
    page = Page(render_page(report))
    assert page.open == []
    for part in ("The discriminative model", "What each signal", "More labels", "Where it does well", "Read some"):
        assert part not in page.text


def test_a_curve_without_figures_is_told_in_words(report, undrawn):
    curve = CURVE.model_copy(update={"points": CURVE.points[:1], "law": None, "doubling": None})
    assert _curves(curve) == []
    assert CURVE.summary in Page(render_page(report.model_copy(update={"curve": curve}))).text


def test_the_page_stands_beside_the_record(report, undrawn, tmp_path):
    path = write_replay(report, tmp_path / "new" / "out")
    assert sorted(file.name for file in path.parent.iterdir()) == ["replay.html", "replay.json"]
    assert (path.parent / PAGE).read_text() == render_page(read_replay(path)) == render_page(report)


def test_without_matplotlib_the_page_has_its_tables_and_says_what_is_missing(report, undrawn):
    page = Page(render_page(report))
    assert "svg" not in {tag for tag, _ in page.tags}
    assert page.text.count("pip install 'drr-agent[report]'") == 1
    assert "What each signal is worth" in page.text


def test_without_jinja_the_record_is_written_all_the_same(report, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"needs `jinja2`.*pip install 'drr-agent\[report\]'"):
        write_replay(report, tmp_path)
    assert read_replay(tmp_path / "replay.json") == report
    assert not (tmp_path / PAGE).exists()
