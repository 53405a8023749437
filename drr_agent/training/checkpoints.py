"""The trace of an unfinished training, by which it goes on where it stopped."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drr_agent.dm.folder import MANIFEST, is_dm, read_manifest
from drr_agent.dm.learned import QUESTIONS
from drr_agent.errors import ConfigError
from drr_agent.lines import write_whole
from drr_agent.training.behaviors import Behavior

_RECORD = "training.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """The checkpoints of one training, in the folder its DM will stand in."""

    out: Path
    settings: dict[str, Any]
    """What the training depends on, as JSON values: another training's checkpoints are not ours to go on from."""

    @property
    def path(self) -> Path:
        """The folder of the checkpoints."""
        return self.out / "checkpoints"

    def finished(self, *, resume: bool) -> bool:
        """Whether the DM is there already; a training that was asked to resume has nothing left to do then.

        Raises:
            ConfigError: there is a DM, an unfinished training or something else, and it is not the one to go on with.
        """
        if is_dm(self.out):
            self._agree(read_manifest(self.out).train_config, resume=resume, found="a finished DM")
            return True
        record = self.path / _RECORD
        if record.is_file():
            self._agree(json.loads(record.read_bytes()), resume=resume, found="an unfinished training")
        elif self.out.is_file() or (self.out.is_dir() and not all(map(self._is_ours, self.out.iterdir()))):
            raise ConfigError(f"expected a new or empty folder to train in, found other files in {str(self.out)!r}")
        return False

    def begin(self) -> None:
        """Record the settings, before the first checkpoint."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / _RECORD, json.dumps(self.settings, indent=2))

    def last(self) -> str | None:
        """The last whole checkpoint, if there is one; a kill in the middle of a save leaves one without its end."""
        whole = [folder for folder in self.path.glob("checkpoint-*") if _is_json(folder / "trainer_state.json")]
        return str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None

    def remove(self) -> None:
        """Delete the checkpoints of a training that is done."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _is_ours(self, found: Path) -> bool:
        """Whether a training that failed before its first checkpoint, or in writing the manifest, left this behind."""
        if found == self.path and found.is_dir():
            return all(file.name.startswith(f".{_RECORD}.") for file in found.iterdir())
        return found.name.startswith((f".{MANIFEST}.", f".{QUESTIONS}."))

    def _agree(self, found_settings: dict[str, Any], *, resume: bool, found: str) -> None:
        if not resume:
            raise ConfigError(
                f"expected a new or empty folder to train in, found {found} in {str(self.out)!r}; "
                "resume it, name another folder, or delete it"
            )
        names = [name for name in self.settings if self.settings[name] != found_settings.get(name)]
        if names:
            was = {name: found_settings.get(name) for name in names}
            now = {name: self.settings[name] for name in names}
            raise ConfigError(
                f"expected to resume the training in {str(self.out)!r} with {was!r}, got {now!r}; "
                "resume it with its own settings and rows, or name another folder"
            )


def digest_rows(*splits: Sequence[Behavior]) -> str:
    """Twelve hex digits over the ids and labels of the rows, split by split."""
    lines = [f"{row['id']}\t{row['label']}" for rows in splits for row in [*sorted(rows, key=lambda row: row["id"])]]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _is_json(file: Path) -> bool:
    """Whether a file was written to its end; the Trainer writes a checkpoint's state last."""
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True
