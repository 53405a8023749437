"""`rejects.jsonl`: every logged attempt that a harvest left out, with its place and the reason."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from drr_agent.training.manifest import SourceRecord
from drr_agent.training.staging import Drop

_LONGEST_DETAIL = 500
"""Characters; what is wrong with 10 MB is said in fewer."""


def write_rejects(path: Path, *, held: Path, sources: Iterable[SourceRecord], drops: Iterable[Drop]) -> None:
    """Write every drop a line, with the key of the source record that counts it; older ones of the same records go.

    So do damaged lines of `held`: they tell of drops, and no drop is worth a harvest.
    """
    keys = {record.location: record.key for record in sources}
    renewed = set(keys.values())
    with path.open("w", encoding="utf-8") as stream:
        for row in read_rejects(held):
            if row["harvest"] not in renewed:
                stream.write(json.dumps(row) + "\n")
        for drop in drops:
            row = {"harvest": keys.get(drop.source, ""), **drop._asdict(), "detail": drop.detail[:_LONGEST_DETAIL]}
            stream.write(json.dumps(row) + "\n")


def read_rejects(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file of rejects, where there is one."""
    if not path.is_file():
        return
    with path.open("rb") as stream:
        for line in stream:
            with suppress(ValueError, RecursionError):
                row = json.loads(line)
                if isinstance(row, dict) and "harvest" in row:
                    yield row
