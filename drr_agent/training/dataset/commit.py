"""How a dataset's new files take the place of the old ones: all or none, whenever the process dies.

They are staged in a folder beside the old ones. Once all of it is on the disk, one renaming makes it the folder that
is to be put in place; if the process dies before that is done, the next one that writes does it.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drr_agent.training.behaviors import SPLITS
from drr_agent.training.dataset.folder import MANIFEST, PENDING
from drr_agent.training.dataset.manifest import Manifest

_SPLIT_FILE = re.compile(rf"(?:{'|'.join(SPLITS)})-[0-9a-f]{{12}}\.parquet")
_STAGING = ".writing-"


@contextmanager
def stage(out: Path) -> Iterator[Path]:
    """An empty folder on the same disk, which goes at the end; the caller holds `out`."""
    _clear(out)
    place, prefix = (out, _STAGING) if out.is_dir() else (out.parent, f".{out.name}-")
    with tempfile.TemporaryDirectory(dir=place, prefix=prefix) as temporary:
        staged = Path(temporary) / "dataset"
        staged.mkdir(mode=0o700)  # the logs it is made of are their owner's alone
        yield staged


def put_in_place(staged: Path, out: Path) -> None:
    """Let a whole dataset take the place of the one that is at `out`, if there is one."""
    for file in staged.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    if not out.is_dir():
        staged.replace(out)
        return
    staged.replace(out / PENDING)
    finish(out)


def finish(out: Path) -> None:
    """Put in place what is to be, the manifest last; the caller holds `out`."""
    pending = out / PENDING
    if not pending.is_dir():
        return
    for file in sorted(pending.iterdir(), key=lambda file: file.name == MANIFEST):
        file.replace(out / file.name)
    manifest = Manifest.model_validate_json((out / MANIFEST).read_bytes())
    names = {record.name for record in manifest.files.values()}
    for file in out.glob("*.parquet"):
        if _SPLIT_FILE.fullmatch(file.name) and file.name not in names:
            file.unlink(missing_ok=True)
    pending.rmdir()


def is_leftover(name: str) -> bool:
    """Whether a file or folder is what a killed process left, and nobody else's."""
    return name.startswith(_STAGING)


def _clear(out: Path) -> None:
    """Remove what killed processes staged in the folder and beside it."""
    beside = re.compile(rf"\.{re.escape(out.name)}-[a-z0-9_]{{8}}")
    left = [folder for folder in out.parent.iterdir() if beside.fullmatch(folder.name)]
    left += out.glob(f"{_STAGING}*") if out.is_dir() else []
    for folder in left:
        if {file.name for file in folder.iterdir()} <= {"dataset"}:
            shutil.rmtree(folder, ignore_errors=True)
