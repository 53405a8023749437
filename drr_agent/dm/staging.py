"""Changes of a DM folder in several steps, of which a kill leaves all or none."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drr_agent.dm.folder import MANIFEST, read_manifest, write_manifest
from drr_agent.dm.learned import QUESTIONS, add_questions, read_questions

_STAND_IN = ".changing-"


@contextmanager
def changing(path: Path) -> Iterator[Path]:
    """A stand-in for a DM folder, to change in several steps: the folder takes them all at the end, or none.

    The stand-in's weights are links to the folder's own: only the manifest and the questions may be changed.

    Raises:
        DMError: there is no DM at `path`.
    """
    read_manifest(path)
    for left in path.glob(f"{_STAND_IN}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=path, prefix=_STAND_IN) as folder:
        stand_in = Path(folder)
        for file in (file for file in path.iterdir() if file.is_file()):
            copy = shutil.copyfile if file.name in {MANIFEST, QUESTIONS} else _link
            copy(file, stand_in / file.name)
        yield stand_in
        add_questions(path, read_questions(stand_in))
        write_manifest(path, read_manifest(stand_in))


def _link(file: Path, link: Path) -> None:
    try:
        link.hardlink_to(file.resolve())
    except OSError:  # a file system without links, or one that the file only seems to be on
        shutil.copyfile(file, link)
