"""Folders that Hugging Face's `datasets` saved to disk, row by row.

Their Arrow files are read as they are, in the order that `state.json` names them, some rows at a time: nothing in the
folder is run, and nothing is fetched.
"""

import json
import os
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from drr_agent.errors import DamagedError, DataError

_SPLITS, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"
_ROWS_AT_ONCE = 1_000
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class DatasetRow(NamedTuple):
    """One row of a dataset; a `TableRow` that also says where it stands."""

    line: int
    """Among all rows of all splits, from 1."""
    cells: dict[str, Any]
    place: str
    """Such as `split train row 17`."""


def is_hf_dataset(path: Path) -> bool:
    """Whether a folder is a saved dataset, or one with several splits."""
    return (path / _SPLITS).is_file() or ((path / _STATE).is_file() and (path / _INFO).is_file())


def read_hf_dataset(path: Path) -> Iterator[DatasetRow]:
    """Every row of every split.

    Raises:
        DataError: the folder is no saved dataset.
        DamagedError: after the rows before it, at the place of damage.
    """
    if not is_hf_dataset(path):
        raise DataError(f"expected a folder that `datasets` saved at {str(path)!r}, found no {_STATE}; check the path")
    line = 0
    for split, folder in _splits(path):
        for number, cells in enumerate(_rows(folder), start=1):
            line += 1
            yield DatasetRow(line, cells, f"row {number}" if split is None else f"split {split} row {number}")


def hf_columns(path: Path) -> list[str]:
    """The names of the columns, as the folder tells them, or else as its first row has them.

    Raises:
        DamagedError: neither can be read.
    """
    for _, folder in _splits(path):
        features = _read_json(folder / _INFO).get("features")
        if isinstance(features, Mapping):
            return list(features)
    return [name for row in islice(read_hf_dataset(path), 1) for name in row.cells]


def _splits(path: Path) -> Iterator[tuple[str | None, Path]]:
    if not (path / _SPLITS).is_file():
        split = _read_json(path / _STATE).get("_split")
        yield split if isinstance(split, str) else None, path
        return
    names = _read_json(path / _SPLITS).get("splits")
    if not isinstance(names, list):
        raise _damaged(path / _SPLITS, "no list of `splits`")
    for name in names:
        yield name, _inside(path, name)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    features = _read_json(folder / _INFO).get("features")
    named = features if isinstance(features, Mapping) else {}
    files = _read_json(folder / _STATE).get("_data_files")
    if not isinstance(files, list):
        raise _damaged(folder / _STATE, "no list of `_data_files`")
    for file in files:
        name = file.get("filename") if isinstance(file, Mapping) else None
        for row in _arrow_rows(_inside(folder, name)):
            yield {column: _with_names(value, named.get(column)) for column, value in row.items()}


def _arrow_rows(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    try:
        _check_end(path)
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as batches:
            for batch in batches:
                batch.validate(full=True)  # offsets that lead elsewhere would crash the process
                for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                    yield from batch.slice(start, _ROWS_AT_ONCE).to_pylist()
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as error:  # also names and numbers in a broken schema
        raise DamagedError(
            f"expected a whole Arrow file at {str(path)!r}, got damage ({error}); save it anew"
        ) from error


def _check_end(path: Path) -> None:
    """Look for the mark at the end: Arrow itself takes a file that was cut off between two batches for a whole one.

    Raises:
        OSError: it is not there.
    """
    with path.open("rb") as stream:
        stream.seek(-min(len(_END_OF_STREAM), path.stat().st_size), os.SEEK_END)
        if stream.read() != _END_OF_STREAM:
            raise OSError("no mark at its end")


def _with_names(value: Any, feature: Any) -> Any:
    """A value with the names of its classes in place of their numbers, wherever in it they are."""
    if value is None or not isinstance(feature, Mapping | list):
        return value
    if isinstance(feature, list):
        return [_with_names(item, feature[0]) for item in value] if feature and isinstance(value, list) else value
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names: Any = feature.get("names")
        is_known = isinstance(names, list) and isinstance(value, int) and 0 <= value < len(names)
        return names[value] if is_known else None if value == -1 else value
    if isinstance(value, list) and kind is not None:
        return [_with_names(item, feature.get("feature")) for item in value]
    if isinstance(value, dict) and kind is None:
        return {name: _with_names(item, feature.get(name)) for name, item in value.items()}
    return value


def _inside(folder: Path, name: Any) -> Path:
    """A file or a folder right inside of another."""
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise _damaged(folder, f"the name {name!r}")
    return folder / name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(found, dict):
        raise _damaged(path, type(found).__name__)
    return found


def _damaged(path: Path, found: str) -> DamagedError:
    return DamagedError(f"expected what `datasets` saves at {str(path)!r}, got {found}; save it anew")
