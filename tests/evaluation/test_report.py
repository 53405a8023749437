import io
import json
import re
import sys
from xml.etree import ElementTree

import pytest
from fakes import graded_run, make_attempt
from pages import Page
from rich.console import Console

from drr_agent.errors import DataError
from drr_agent.evaluation import read_report, render_table, write_report
from drr_agent.evaluation.certification import Certification
from drr_agent.evaluation.charts import draw_pictures
from drr_agent.evaluation.comparison import Arm, compare, verdict
from drr_agent.evaluation.outcomes import scored_attempts
from drr_agent.evaluation.page import render_page
from drr_agent.evaluation.report import Report, letters
from drr_agent.evaluation.summary import describe_environment, pick_examples, summarize_dm, summarize_runs
from drr_agent.evaluation.table import doubt_ranking, points, signed
from drr_agent.grading import get_grader

NUMBER = get_grader("number")
HOSTILE = "<script>alert('&')</script>"


def runs_of(right, attempts):
    """Forty runs: the first attempt is right on even questions, the last one on the first `right` questions."""
    runs = []
    for i in range(40):
        answers = ["1" if i % 2 == 0 else "2"] * (attempts - 1) + ["1" if i < right else "2"]
        run = graded_run(*answers, sample=f"q{i:02}")
        scored = [
            {**attempt, "score": 0.8 if attempt["answer"] == "1" else 0.3, "rationale": HOSTILE}
            for attempt in run["attempts"]
        ]
        runs.append({**run, "attempts": scored, "question": f"{HOSTILE} {i}"})
    return runs


@pytest.fixture(scope="module")
def report():
    arms = [
        Arm("drr_consensus", "at 0.9", runs_of(36, 2)),
        Arm("single_pass", "", runs_of(20, 1)),
        *(Arm("self_consistency", f"k={k}", runs_of(20 + k, k)) for k in (2, 3, 5)),
    ]
    scored = scored_attempts(arms[0].runs, NUMBER)
    comparisons = [
        compare(arms[0], [arms[1]], NUMBER, against="single_pass", seed=0),
        compare(arms[0], arms[1:], NUMBER, against="voting", seed=0),
    ]
    return Report(
        title="A title",
        created_at="2025-01-01T00:00:00+00:00",
        verdict=verdict(comparisons),
        results=[summarize_runs(arm.strategy, arm.setting, arm.runs, NUMBER) for arm in arms],
        comparisons=comparisons,
        dm=summarize_dm(scored, uncalibrated=scored.scores**0.5, parts={"text alone": list(1 - scored.scores)}),
        examples=pick_examples("drr_consensus", arms[0].runs, NUMBER),
        environment=describe_environment(reasoner="scripted", dm="dm0000000000", dataset=None, seeds={"bootstrap": 0}),
        timings={"evaluate": 1.5},
    )


@pytest.fixture
def bare(report):
    """Only what every report has."""
    row = report.results[1].model_copy(update={"accuracy": None, "accuracy_ci": None, "mean_tokens": None, "n": 0})
    return report.model_copy(
        update={
            "results": [row],
            "comparisons": [],
            "dm": None,
            "examples": [],
            "timings": {},
            "verdict": "No verdict.",
        }
    )


def test_json_has_what_machines_look_for(report, tmp_path):
    path, _ = write_report(report, tmp_path / "new" / "folder")
    found = json.loads(path.read_text())
    assert {"strategy", "setting", "n", "accuracy", "accuracy_ci", "mean_turns", "mean_tokens"} <= found["results"][
        0
    ].keys()
    assert {"auroc", "within_question_auroc", "ece", "brier"} <= found["dm"].keys()
    assert (found["results"][0]["accuracy"], found["results"][0]["n"]) == (0.9, 40)
    assert found["dm"]["within_question_auroc"] == 1.0


def test_a_report_is_read_back_as_it_was(report, tmp_path):
    path, _ = write_report(report, tmp_path)
    assert read_report(path) == report


def test_writing_leaves_nothing_else_behind(report, tmp_path):
    write_report(report, tmp_path)
    write_report(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda data: data.update(extra=1), "extra: Extra inputs", id="unknown key"),
        pytest.param(lambda data: data.update(format=2), "format: Input should be 1", id="another format"),
        pytest.param(lambda data: data["results"][0].update(accuracy=1.5), "results.0.accuracy", id="not a share"),
        pytest.param(lambda data: data.pop("verdict"), "verdict: Field required", id="missing key"),
        pytest.param(lambda data: data["results"][0].update(mean_calls=float("nan")), "report of format 1", id="nan"),
    ],
)
def test_a_file_that_is_no_report_is_a_clear_error(report, tmp_path, spoil, message):
    path, _ = write_report(report, tmp_path)
    data = json.loads(path.read_text())
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(DataError, match=message):
        read_report(path)


def test_a_missing_report_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="found nothing"):
        read_report(tmp_path / "report.json")
    with pytest.raises(DataError, match="found a folder"):
        read_report(tmp_path)


def test_the_terminal_table_has_a_row_a_strategy(report):
    console = Console(width=160, file=io.StringIO())
    console.print(render_table(report))
    text = console.file.getvalue()
    assert re.search(r"DRR consensus at 0.9 +│ 90\.0 % │ +76\.9 to 96\.0 │ +2\.00", text)
    assert text.count("self consistency") == 3


@pytest.mark.parametrize("width", [160, 90])
def test_wrong_of_accepted_is_shown_where_some_are_not_accepted(report, width):
    def shown(**changes):
        one = report.results[0].model_copy(update=changes)
        changed, console = report.model_copy(update={"results": [one]}), Console(width=width, file=io.StringIO())
        console.print(render_table(changed, width=width))
        return console.file.getvalue(), render_page(changed)

    for text in shown(accept_rate=0.8, accepted=32, wrong_of_accepted=0.03125):
        assert "3.1 % of 32" in text
    for text in (*shown(accept_rate=1.0, accepted=40, wrong_of_accepted=0.1), *shown(accept_rate=0.0)):
        assert "wrong of" not in text.lower()


def test_what_the_certificate_says_is_on_the_page(report):
    told = "Uncertified: the DM's certificate is not about this."
    found = report.model_copy(update={"certification": Certification(certified=False, told=told)})
    assert "Uncertified: the DM&#39;s certificate is not about this." in render_page(found)


@pytest.mark.parametrize(
    ("value", "form", "said"),
    [
        pytest.param(0.0412, None, "+4.1", id="more"),
        pytest.param(-0.0412, None, "−4.1", id="less"),
        pytest.param(-0.0004, None, "0.0", id="rounds to nothing from below"),
        pytest.param(0.0004, None, "0.0", id="rounds to nothing from above"),
        pytest.param(-0.001, "+.2f", "0.00", id="nothing in calls"),
        pytest.param(-1234.0, "+,.0f", "−1,234", id="thousands"),
        pytest.param(-10.0, "+,.0f", "−10", id="ten"),
        pytest.param(-0.0001, ".3f", "0.000", id="no plus wanted"),
        pytest.param(None, "+.2f", "–", id="unknown"),
    ],
)
def test_a_difference_of_nothing_has_no_sign(value, form, said):
    assert (points(value) if form is None else signed(value, form)) == said


@pytest.mark.parametrize(
    ("within", "overall", "said"),
    [
        pytest.param(0.43, 0.8, "its within-question AUROC is 0.430, and chance is 0.5", id="backwards"),
        pytest.param(0.5, 0.8, "its within-question AUROC is 0.500", id="at chance"),
        pytest.param(0.51, 0.4, None, id="ranks attempts, not questions"),
        pytest.param(None, 0.4, "its AUROC is 0.400", id="no mixed questions"),
        pytest.param(None, 0.6, None, id="ranks as far as is known"),
        pytest.param(None, None, None, id="nobody knows"),
    ],
)
def test_a_dm_that_ranks_no_better_than_chance_is_doubted(report, monkeypatch, within, overall, said):
    found = doubt_ranking(within, overall)
    assert (found is None) if said is None else (said in found)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    dm = report.dm.model_copy(update={"within_question_auroc": within, "auroc": overall})
    text = " ".join(Page(render_page(report.model_copy(update={"dm": dm}))).text.split())
    assert ("The DM does not rank attempts" in text) == (said is not None)


def test_a_narrow_terminal_gets_fewer_columns_and_whole_words(report):
    console = Console(width=80, file=io.StringIO())
    console.print(render_table(report, width=80))
    text = console.file.getvalue()
    assert "harmed" not in text
    assert "95 % interval" in text
    assert "…" not in text


def test_the_page_asks_for_nothing_and_runs_nothing(report):
    page = Page(render_page(report))
    assert page.open == []
    assert [address for address in page.addresses if not address.startswith("#")] == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert "@import" not in render_page(report)
    assert not re.findall(r"url\((?!#)", render_page(report))


def test_what_was_said_is_escaped(report):
    html = render_page(report)
    assert "<script" not in html
    assert HOSTILE in Page(html).text


def test_ids_on_the_page_are_unique(report):
    ids = Page(render_page(report)).ids
    assert len(ids) == len(set(ids))


def test_the_first_thing_said_is_the_verdict(report):
    text = " ".join(Page(render_page(report)).text.split())
    places = [
        text.index(words)
        for words in ("The loop helps.", "Strategy", "Accuracy against cost", "Read some", "Made with")
    ]
    assert places == sorted(places)


def test_every_picture_says_what_it_shows(report):
    pictures = draw_pictures(report)
    assert [picture.title for picture in pictures] == [
        "Accuracy against cost",
        "Does a score mean what it says?",
        "Scores of right and wrong attempts",
        "Turns used",
    ]
    assert "DRR consensus at 0.9: 90.0 % right (76.9 to 96.0) at 2.00 calls" in pictures[0].alt
    assert "Expected calibration error" in pictures[1].alt
    page = Page(render_page(report))
    said = [attrs["aria-label"] for tag, attrs in page.tags if attrs.get("role") == "img"]
    assert said == [picture.alt for picture in pictures]


def test_pictures_take_the_colors_of_the_page_and_are_reproducible(report):
    for picture, again in zip(draw_pictures(report), draw_pictures(report), strict=True):
        assert picture.svg == again.svg
        ElementTree.fromstring(picture.svg)
        assert set(re.findall(r"#[0-9a-f]{6}\b", picture.svg)) <= {"#000000", "#ffffff"}
        assert "var(--ink)" in picture.svg


def test_letters_tie_the_table_to_the_picture(report):
    assert [(letter, row.label) for letter, row in letters(report).items()][:2] == [
        ("A", "DRR consensus at 0.9"),
        ("B", "single pass"),
    ]
    svg = draw_pictures(report)[0].svg
    drawn = re.findall(r">([A-Z])(?:  DRR consensus)?</text>", svg)
    assert sorted(drawn) == list("ABCDE")


def test_a_bare_report_has_a_page_too(bare):
    page = Page(render_page(bare))
    assert page.open == []
    assert "No verdict" in page.text
    assert "The discriminative model" not in page.text


def test_without_matplotlib_the_page_has_its_tables_and_says_what_is_missing(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(render_page(report))
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "pip install 'drr-agent[report]'" in page.text
    assert "DRR consensus" in page.text


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("accept", "accepted"), ("stop", "stopped"), ("review", "sent to review")],
)
def test_an_example_says_how_its_run_ended(report, verdict, word):
    run = graded_run("1", attempts=[make_attempt("2", verdict="reject"), make_attempt("1", verdict=verdict)], choice=1)
    text = Page(render_page(report.model_copy(update={"examples": pick_examples("drr", [run], NUMBER)}))).text
    assert f"· {word}" in text
    assert "· rejected" in text


def test_unknown_parts_of_an_example_are_not_called_wrong(report):
    run = graded_run("1", attempts=[make_attempt("2"), make_attempt(None, turn=2), make_attempt("1", turn=3)], choice=2)
    html = render_page(report.model_copy(update={"examples": pick_examples("drr", [run], NUMBER)}))
    article = Page(re.search(r"<article>.*</article>", html, re.DOTALL).group()).text
    lines = [line for line in article.splitlines() if line.strip().startswith("Turn")]
    assert ["wrong" in line for line in lines] == [True, False, False]
    assert "no answer · no score" in lines[1]
