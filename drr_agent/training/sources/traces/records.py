"""Files of records as trace tools export them, read one at a time: JSON in any layout, CSV, TSV or Parquet.

JSON may be one object a line, one array of objects, or objects that are spread over lines with indentation, one after
the other. A damaged line or row costs that one; damage in an array costs what comes after it, since nobody can tell
where the next object begins.
"""

import codecs
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from drr_agent.errors import DataError
from drr_agent.lines import GzipDamageError, numbered_lines, open_bytes
from drr_agent.runs import Reject
from drr_agent.tables import read_table, table_format
from drr_agent.training.drops import Flaw
from drr_agent.training.sources.protocol import LostEntry, unreadable

_BOM = b"\xef\xbb\xbf"
_CHUNK_CHARS = 2**20
_MOST_ITEM_CHARS = 2**28
"""An object in an array that is longer is taken for damage."""
_FIRST_RECORDS = 20
_INDENTED = re.compile(rb"\{\s*\n[ \t]")
_NOT_UTF8 = Flaw("unreadable", "bytes that are not UTF-8")


class Record(NamedTuple):
    """An object and where it stands."""

    place: str
    fields: dict[str, Any]


def read_records(path: Path) -> Iterator[Record | LostEntry]:
    """Every object of a file, and every part of it that is none.

    Raises:
        DataError: there is no such file, it is of no known format, or a table is damaged as a whole.
    """
    try:
        yield from _read(path)
    except GzipDamageError as damage:
        yield LostEntry("end of file", Flaw("unreadable", str(damage)))


def first_records(path: Path) -> list[dict[str, Any]]:
    """The first whole objects of a file; none of a file that holds none."""
    if not path.is_file():
        return []
    try:
        found = islice(read_records(path), _FIRST_RECORDS)
        return [record.fields for record in found if isinstance(record, Record)]
    except DataError:
        return []


def as_record(place: str, text: str | bytes) -> Record | LostEntry:
    """An object from its JSON text."""
    try:
        return _as_object(place, json.loads(text))
    except (ValueError, RecursionError) as error:
        return LostEntry(place, Flaw("unreadable", f"torn or invalid JSON ({error})"))


def _as_object(place: str, value: Any) -> Record | LostEntry:
    if isinstance(value, dict):
        return Record(place, value)
    return LostEntry(place, Flaw("unreadable", f"JSON that is not an object but {type(value).__name__}"))


def _read(path: Path) -> Iterator[Record | LostEntry]:
    with open_bytes(path) as stream:
        head = stream.read(512).removeprefix(_BOM).lstrip()
    if head.startswith(b"["):
        yield from _array(path)
    elif table_format(path) != "jsonl":
        yield from _table(path)
    elif _INDENTED.match(head) is not None:
        yield from _indented(path)
    else:
        for number, line in numbered_lines(path):
            if line.removeprefix(_BOM).strip():
                yield as_record(f"line {number}", line)


def _table(path: Path) -> Iterator[Record | LostEntry]:
    rejects: list[Reject] = []
    for row in read_table(path, on_reject=rejects.append):
        yield from unreadable(rejects)
        yield Record(f"line {row.line}", row.cells)
    yield from unreadable(rejects)


def _indented(path: Path) -> Iterator[Record | LostEntry]:
    """Objects whose first and last lines are their braces alone."""
    first, held = 0, bytearray()
    for number, line in numbered_lines(path):
        if held.strip() and line.rstrip() == b"{":  # the one before has no end
            yield as_record(f"line {first}", bytes(held))
            held.clear()
        first = first if held.strip() else number
        held += line
        if line.rstrip() == b"}":
            yield as_record(f"line {first}", bytes(held))
            held.clear()
    if held.strip():
        yield as_record(f"line {first}", bytes(held))


def _array(path: Path) -> Iterator[Record | LostEntry]:
    with open_bytes(path) as stream:
        window, number = _Window(stream), 0
        window.skip("[")
        while not window.is_at("]"):
            number += 1
            place = f"item {number}"
            try:
                found, text = window.take()
            except (ValueError, RecursionError) as error:
                yield LostEntry(place, Flaw("unreadable", f"damage here; what comes after it is lost too ({error})"))
                return
            yield _as_object(place, found) if _is_unicode(text) else LostEntry(place, _NOT_UTF8)
            window.skip(",")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Window:
    """The part of a JSON text that is being read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._reader = codecs.getreader("utf-8-sig")(stream, "surrogateescape")
        self._decoder = json.JSONDecoder()
        self._text, self._at = "", 0

    def is_at(self, mark: str) -> bool:
        """Whether this comes next. The end of the file is no error here, but one in `take`."""
        self._to_content()
        return self._text.startswith(mark, self._at)

    def skip(self, mark: str) -> None:
        """Go past it, where it comes next."""
        if self.is_at(mark):
            self._at += 1

    def take(self) -> tuple[Any, str]:
        """The next value, and its text.

        Raises:
            ValueError: there is no whole value.
            RecursionError: it is nested too deeply.
        """
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > _MOST_ITEM_CHARS or not self._more():
                    raise
            else:
                text, self._at = self._text[self._at : end], end
                return value, text

    def _to_content(self) -> None:
        while True:
            while self._at < len(self._text) and self._text[self._at].isspace():
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return

    def _more(self) -> bool:
        """Read on, twice as much each time a value is still not whole; false at the end of the file."""
        rest = self._text[self._at :]
        chunk = self._reader.read(max(_CHUNK_CHARS, len(rest)))
        self._text, self._at = rest + chunk, 0
        return bool(chunk)
