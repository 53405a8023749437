"""Behaviors as Parquet, with one fixed schema, so that any two files of a dataset concatenate."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from drr_agent.training.behaviors import Behavior

if TYPE_CHECKING:
    import pyarrow as pa


def encode_behaviors(rows: Sequence[Behavior]) -> bytes:
    """The bytes of a Parquet file; equal rows give equal bytes under one version of pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    records = [{**row, "signals": sorted(row["signals"].items())} for row in rows]
    pq.write_table(pa.Table.from_pylist(records, schema=behavior_schema()), sink, compression="zstd")
    return sink.getvalue()


def decode_behaviors(content: bytes) -> list[Behavior]:
    """The rows of a Parquet file that `encode_behaviors` made."""
    import pyarrow.parquet as pq

    records: list[dict[str, Any]] = pq.read_table(io.BytesIO(content)).to_pylist()
    return [cast("Behavior", {**record, "signals": dict(record["signals"])}) for record in records]


def behavior_schema() -> "pa.Schema":
    """The columns, in the order of `Behavior`."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "turn": pa.int64(),
        "draw": pa.int64(),
        "truncated": pa.bool_(),
        "signals": pa.map_(pa.string(), pa.float64()),
        "logprobs": pa.list_(pa.float64()),
        "input_tokens": pa.int64(),
        "output_tokens": pa.int64(),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in Behavior.__annotations__])
