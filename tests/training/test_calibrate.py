import pytest
from training.synthetic import make_behavior, make_behaviors

from drr_agent.dm import load_dm, read_manifest, set_consensus
from drr_agent.dm.calibration import fit_calibration
from drr_agent.errors import DataError, DMError
from drr_agent.evaluation.metrics import ece
from drr_agent.training.behaviors import to_request, with_labels
from drr_agent.training.calibrate import calibrate_dm, calibrate_on
from drr_agent.training.config import TrainConfig
from drr_agent.training.dataset.writer import write_dataset
from drr_agent.training.train import train_dm, train_on

CONFIG = TrainConfig(inputs="signals", progress=False)


@pytest.fixture
def path(tmp_path):
    train, validation = (make_behaviors(80, seed=seed, signal=1.5) for seed in (1, 2))
    return train_dm(train, validation, config=CONFIG, out=tmp_path / "dm")


def live(questions, seed):
    """Behaviors of a Reasoner that is right far less often than in training."""
    rows = make_behaviors(questions, seed=seed, signal=1.5)
    return [row for number, row in enumerate(rows) if row["label"] == "incorrect" or number % 5 == 0]


def gap(path, rows):
    scores = [score.score for score in load_dm(path).score([to_request(row) for row in rows])]
    return ece(scores, [row["label"] == "correct" for row in rows])


def test_the_live_base_rate_is_learned(path):
    fresh = live(400, seed=5)
    before = gap(path, fresh)
    metrics = calibrate_dm(path, live(250, seed=4), progress=False)
    assert before > 0.12
    assert gap(path, fresh) < 0.05
    assert metrics["ece"] < 0.05
    assert metrics["base_rate"] < 0.25


def in_use(rows, *, rate=0.25):
    """Each question as a run of four turns that was accepted at its first attempt; some explored, the others end."""
    shown = []
    for place, row in enumerate(rows):
        turn, explores = place % 4 + 1, (place // 4) % round(1 / rate) == 0
        told = {"run_id": f"run {place // 4}", "turn": turn, "draw": None, "origin": "live", "verdict": "accept"}
        told |= {} if turn == 1 else {"origin": "explored", "verdict": None, "propensity": rate}
        shown += [{**row, **told}] if turn == 1 or explores else []
    return shown


def test_what_runs_explored_stands_for_what_accepts_cut_off(path):
    """The first attempts are right far more often than later ones, of which three in four were cut off."""
    rows = make_behaviors(400, seed=7, signal=1.5)
    easy = [row for row in rows if row["label"] == "correct"][:250]
    hard = [row for row in rows if row["label"] == "incorrect"][:750]
    full = [row for first in range(250) for row in (easy[first], *hard[3 * first : 3 * first + 3])]
    full = [{**row, "question_key": f"q{place // 4}", "id": str(place)} for place, row in enumerate(full)]
    metrics = calibrate_dm(path, in_use(full), progress=False)
    assert metrics["base_rate"] == pytest.approx(0.25, abs=0.01), "of the log itself it is 0.57"
    assert gap(path, full) < 0.05
    told = [{**row, "origin": "live", "propensity": 1.0, "verdict": None} for row in in_use(full)]
    calibrate_dm(path, told, progress=False)
    assert gap(path, full) > 0.1


def test_draws_count_alike(path):
    """The figures of the version before weights."""
    rows = live(100, seed=4)
    metrics = calibrate_dm(path, rows, progress=False)
    assert metrics["base_rate"] == sum(row["label"] == "correct" for row in rows) / len(rows)
    plain = fit_calibration(
        [reading.fused for reading in load_dm(path).read([to_request(row) for row in rows])],
        [row["label"] == "correct" for row in rows],
        [row["question_key"] for row in rows],
    )
    assert read_manifest(path).calibration == plain.calibration


def test_what_is_reported_is_stored_beside_what_was(path):
    rows = live(100, seed=4)
    set_consensus(path, {"agreement": 1.0})
    metrics = calibrate_dm(path, rows, split="live", progress=False)
    manifest = read_manifest(path)
    assert manifest.metrics.keys() == {"validation", "live"}
    assert manifest.metrics["live"] == metrics
    assert manifest.calibrated_on == "live"
    assert metrics["rows"] == len(rows)
    assert manifest.consensus is None, "it was fitted to other scores"
    assert load_dm(path).seen > {row["question_key"] for row in rows}


def test_scores_change_and_ranks_do_not(path):
    requests = [to_request(row) for row in live(50, seed=6)]
    before = [reading.fused for reading in load_dm(path).read(requests)]
    calibrate_dm(path, live(250, seed=4), progress=False)
    dm = load_dm(path)
    assert [reading.fused for reading in dm.read(requests)] == before
    scores = [score.score for _, score in sorted(zip(before, dm.score(requests), strict=True))]
    assert scores == sorted(scores)


def test_rows_without_a_label_or_an_answer_are_left_out(path):
    rows = live(60, seed=4)
    unknown = [{**row, "label": None} for row in rows[:5]] + [{**row, "answer": None} for row in rows[5:9]]
    assert calibrate_dm(path, rows[9:] + unknown, progress=False)["rows"] == len(rows) - 9


def run_in_use(number, label, *, accepted_at, turns):
    """A run that was accepted, and explored from there to its last turn, which gave no answer, or was cut off."""
    rows = []
    for turn in range(1, turns + 1):
        tail = turn > accepted_at
        told = {"id": f"r{number}:{turn}", "run_id": f"r{number}", "turn": turn, "draw": None, "label": label}
        told |= {"origin": "explored" if tail else "live", "propensity": 0.25 if tail else 1.0}
        told |= {"verdict": "accept" if turn == accepted_at else None, "signals": {"confidence": 0.1 * turn}}
        told |= {"answer": None, "label": None} if turn == 3 else {}
        rows.append({**make_behavior(f"Question {number}?"), **told})
    return rows


def test_an_attempt_without_an_answer_tells_how_far_a_run_went(path):
    """Those accepted at the second of three turns were cut off: what explored stands for them."""
    rows = [row for number in range(30) for row in run_in_use(number, "correct", accepted_at=2, turns=2)]
    rows += [row for number in range(30, 40) for row in run_in_use(number, "incorrect", accepted_at=1, turns=3)]
    labelled = [row for row in rows if row["label"] is not None]
    assert calibrate_dm(path, rows, progress=False)["base_rate"] == pytest.approx(60 / (60 + 10 + 10 * 4))
    assert calibrate_dm(path, labelled, progress=False)["base_rate"] == pytest.approx(60 / (60 + 10 + 10))


def said_by(row, *sources):
    return with_labels(row, [{"value": row["label"], "source": source, "at": None} for source in sources])


@pytest.mark.parametrize(
    ("sources", "share"),
    [
        pytest.param(("judge:m",), 0.25, id="a judge"),
        pytest.param(("judge:m", "feedback:thumbs"), 0.0, id="a judge and feedback, which counts more"),
        pytest.param(("human:judge",), 0.0, id="a human of that name"),
    ],
)
def test_the_share_of_a_judges_labels_is_told_and_stored(path, sources, share):
    rows = live(100, seed=4)[:200]
    rows = [said_by(row, *sources) if number % 4 == 0 else row for number, row in enumerate(rows)]
    assert calibrate_dm(path, rows, progress=False)["judged_share"] == share
    assert read_manifest(path).metrics["calibration"]["judged_share"] == share


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([row for row in live(20, 4) if row["label"] == "incorrect"], "0 correct and", id="one-class"),
        pytest.param([], "0 correct and 0 incorrect", id="none"),
    ],
)
def test_one_class_is_refused_and_nothing_changes(path, rows, message):
    before = read_manifest(path)
    with pytest.raises(DataError, match=message):
        calibrate_dm(path, rows, progress=False)
    assert read_manifest(path) == before


def test_a_folder_without_a_dm_is_refused(tmp_path):
    with pytest.raises(DMError, match="no such folder"):
        calibrate_dm(tmp_path / "nowhere", live(20, seed=4))


def test_a_dataset_serves_as_rows_do(tmp_path):
    rows = [row for seed in (1, 2, 3) for row in make_behaviors(80, seed=seed, signal=1.5)]
    dataset = write_dataset(rows, tmp_path / "data")
    out = train_on(dataset, config=CONFIG, out=tmp_path / "dm")
    metrics = calibrate_on(out, dataset, progress=False)
    assert read_manifest(out).dataset_digest == dataset.digest
    assert read_manifest(out).metrics["validation"]["rows"] == len(dataset.labelled("validation"))
    assert metrics["rows"] == len(dataset.labelled("calibration"))
