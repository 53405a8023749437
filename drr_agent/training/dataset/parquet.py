"""Behaviors as Parquet, with one fixed schema, so that any two files of a dataset concatenate."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from drr_agent.training.behaviors import Behavior

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP = 2_000
_CHARACTERS_PER_GROUP = 8_000_000
"""A group is what is in memory at a time: whichever of the two it reaches first ends it."""
_LATER = {"spans": None}
"""Columns that older files lack."""


class BehaviorWriter:
    """Writes a Parquet file row by row; equal rows give equal bytes under one version of pyarrow."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = behavior_schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []
        self._characters = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, row: Behavior) -> None:
        """Write one row, soon."""
        signals = [{"name": name, "value": value} for name, value in sorted(row["signals"].items())]
        self._waiting.append({**row, "signals": signals})
        self._characters += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(self._waiting) >= _ROWS_PER_GROUP or self._characters >= _CHARACTERS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
            self._waiting.clear()
            self._characters = 0


def read_behaviors(path: Path) -> Iterator[Behavior]:
    """The rows of a file that `BehaviorWriter` made, a group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for record in file.read_row_group(group).to_pylist():
                signals = {signal["name"]: signal["value"] for signal in record["signals"]}
                yield cast("Behavior", {**_LATER, **record, "signals": signals})


def behavior_schema() -> "pa.Schema":
    """The columns, in the order of `Behavior`."""
    import pyarrow as pa

    label = pa.struct([("value", pa.string()), ("source", pa.string()), ("at", pa.string())])
    types: dict[str, pa.DataType] = {
        **dict.fromkeys(("turn", "draw", "copies", "input_tokens", "output_tokens"), pa.int64()),
        **dict.fromkeys(("score", "propensity"), pa.float64()),
        "labels": pa.list_(label),
        "truncated": pa.bool_(),
        "signals": pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())])),  # `datasets` reads no maps
        "logprobs": pa.list_(pa.float64()),
        "spans": pa.list_(pa.int64()),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in Behavior.__annotations__])
