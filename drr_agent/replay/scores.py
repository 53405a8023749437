"""A DM's scores of logged attempts, kept by content: nothing is scored twice, and an interrupt costs one batch."""

import hashlib
import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from drr_agent.dm.protocol import DiscriminativeModel, Score, ScoreRequest
from drr_agent.errors import DataError, DMError
from drr_agent.nodes.score import scorer
from drr_agent.training.behaviors import Behavior, to_request

T = TypeVar("T")
SCORES = "scores.sqlite"
_BATCH = 256
"""Attempts between two commits."""
_MOST_VARIABLES = 500
"""SQLite takes no more than some of them in one question."""
_TABLE = """CREATE TABLE IF NOT EXISTS scores (
    dm TEXT NOT NULL, request BLOB NOT NULL, score REAL NOT NULL, logit REAL, text_logit REAL,
    PRIMARY KEY (dm, request)
) WITHOUT ROWID"""


def score_rows(
    rows: Sequence[Behavior], dm: DiscriminativeModel, *, cache: Path | None = None, progress: bool = True
) -> dict[str, Score]:
    """The DM's score of each attempt with an answer, by the row's id.

    Args:
        rows: logged attempts.
        dm: scores what is not in the cache; its digest tells its scores from those of others there.
        cache: an SQLite file, made where there is none; `None` keeps nothing.
        progress: show a bar.

    Raises:
        DataError: `cache` is no such file.
        DMError: the DM does not give one probability for each attempt.
    """
    requests = {row["id"]: to_request(row) for row in rows if row["answer"] is not None}
    keys = {name: _key(request) for name, request in requests.items()}
    asked = dict(zip(keys.values(), requests.values(), strict=True))  # the same content is scored once
    with _opened(cache) as store:
        known = _read(store, dm.digest, list(asked))
        missing = {key: request for key, request in asked.items() if key not in known}
        bar = tqdm(total=len(missing), desc="score", unit=" attempts", disable=None if progress and missing else True)
        with bar:
            for batch in _batches(missing.items(), _BATCH):
                found = _score([request for _, request in batch], dm)
                made = dict(zip((key for key, _ in batch), found, strict=True))
                _write(store, dm.digest, made)
                known |= made
                bar.update(len(made))
    return {name: known[key] for name, key in keys.items()}


def _key(request: ScoreRequest) -> bytes:
    """Of all that a DM may look at; a field that is added later is part of it."""
    content = {**request._asdict(), "signals": dict(request.signals), "logprobs": request.logprobs is not None}
    found = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    found.update(array("d", request.logprobs or ()).tobytes())  # as text, hundreds of numbers take their time
    return found.digest()[:16]


def _score(requests: Sequence[ScoreRequest], dm: DiscriminativeModel) -> Sequence[Score]:
    scores = scorer(dm)(requests)
    wrong = next((score for score in scores if not 0.0 <= score.score <= 1.0), None)  # NaN, too
    if wrong is not None:
        raise DMError(f"a DM must give a probability in [0, 1], got {wrong.score!r}; check its weights and calibration")
    logits = (logit for score in scores for logit in (score.logit, score.text_logit) if logit is not None)
    bad = next((logit for logit in logits if not math.isfinite(logit)), None)
    if bad is not None:
        raise DMError(f"a DM must give a finite logit or None, got {bad!r}; check its weights")
    return scores


@contextmanager
def _opened(cache: Path | None) -> Iterator[sqlite3.Connection]:
    """The file of scores, or one in memory."""
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(":memory:" if cache is None else cache, timeout=60.0)
    try:
        store.execute(_TABLE)
        yield store
    except sqlite3.DatabaseError as error:
        raise DataError(
            f"expected a file of kept scores at {str(cache)!r}, got {error}; remove it, or name another"
        ) from error
    finally:
        store.close()


def _read(store: sqlite3.Connection, dm: str, keys: Sequence[bytes]) -> dict[bytes, Score]:
    known: dict[bytes, Score] = {}
    for some in _batches(keys, _MOST_VARIABLES):
        marks = ",".join("?" * len(some))
        query = f"SELECT request, score, logit, text_logit FROM scores WHERE dm = ? AND request IN ({marks})"
        rows = store.execute(query, (dm, *some))
        known |= {key: Score(score, logit, text_logit=text) for key, score, logit, text in rows}
    return known


def _write(store: sqlite3.Connection, dm: str, scores: dict[bytes, Score]) -> None:
    rows = [(dm, key, score.score, score.logit, score.text_logit) for key, score in scores.items()]
    with store:
        store.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", rows)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
