"""The DM folder: an ordinary transformers folder, with the manifest `drr.json` beside the weights.

The manifest is written last, in one step: a folder without it is not a DM, so a killed save leaves none. Weights are
safetensors, and a folder with pickled files or code of its own is refused, since loading one could run it.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from drr_agent.dm.layout import lay_out
from drr_agent.dm.learned import QUESTIONS, Learned, read_questions
from drr_agent.dm.manifest import DM_SCHEMA, LABELS, DMManifest, describe_fault
from drr_agent.dm.models import SignalDM, TransformersDM
from drr_agent.dm.quiet import quiet_loading
from drr_agent.encoding import TEMPLATE_DIGEST
from drr_agent.errors import DMError
from drr_agent.lines import write_whole

if TYPE_CHECKING:
    import torch

    from drr_agent.dm.classifier import TextClassifier

MANIFEST = "drr.json"
SHIPPED = Path(__file__).parent / "pocket"
"""The DM of the Reasoner that ships: signals alone, so a manifest is all it is."""
CURVE = "curve.json"
"""What more labels would bring; no score depends on it."""
_CAN_RUN = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".py"})
_SCORING = {"inputs", "text", "fusion", "calibration"}
"""The manifest's fields that a score depends on."""
_SCORING_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""Weights, configuration, and what tokenizers keep their vocabulary in."""
_CHUNK = 1 << 20


def save_dm(path: Path, manifest: DMManifest, *, classifier: "TextClassifier | None" = None) -> None:
    """Write a DM folder.

    Args:
        path: a new folder, or one without a DM.
        manifest: its manifest.
        classifier: the weights and the tokenizer, for a DM that reads text.

    Raises:
        DMError: there is a DM already, or manifest and classifier do not belong together.
    """
    if is_dm(path):
        raise DMError(f"expected a place without a DM, found one at {str(path)!r}; name another folder, or delete it")
    if (classifier is None) != (manifest.inputs == "signals"):
        raise DMError(
            f"expected {'no' if manifest.inputs == 'signals' else 'a'} classifier for inputs={manifest.inputs!r}, "
            f"got {classifier!r}; pass what the manifest says"
        )
    path.mkdir(parents=True, exist_ok=True)
    if classifier is not None:
        _save_classifier(path, classifier)
    write_manifest(path, manifest)


def load_dm(
    path: Path | str, *, device: str | None = None, dtype: "torch.dtype | None" = None
) -> TransformersDM | SignalDM:
    """Load a DM folder.

    Args:
        path: the folder, or `pocket` for the DM of the Reasoner that ships.
        device: where the classifier runs; by default CUDA where there is one, else the CPU.
        dtype: of its weights; by default bfloat16 on CUDA devices that have it, else float32. Many CPUs score faster in
            bfloat16, too, and a little less exactly.

    Raises:
        DMError: there is no DM, or one that this version cannot read as it was meant.
    """
    path = SHIPPED if path == "pocket" else Path(path)
    manifest = read_manifest(path)
    _refuse_code(path)
    learned = Learned.of(read_questions(path))._asdict()
    if manifest.text is None:
        return SignalDM(manifest=manifest, digest=_digest(path, manifest), **learned)
    if manifest.text.template_digest != TEMPLATE_DIGEST:
        raise DMError(
            f"expected a DM trained on the text template {TEMPLATE_DIGEST!r}, got {manifest.text.template_digest!r} in "
            f"{str(path)!r}; train it anew with this version, or install the version that wrote it"
        )
    classifier = _load_classifier(path, manifest.text.max_length, device, dtype)
    return TransformersDM(manifest=manifest, digest=_digest(path, manifest), classifier=classifier, **learned)


def is_dm(path: Path) -> bool:
    """Whether there is a whole DM at `path`."""
    return (path / MANIFEST).is_file()


def read_manifest(path: Path | str) -> DMManifest:
    """The manifest alone, without loading weights.

    Raises:
        DMError: there is none, or one of another schema.
    """
    file = Path(path) / MANIFEST
    if not file.is_file():
        found = f"no {MANIFEST} in it" if Path(path).is_dir() else "a file" if Path(path).exists() else "no such folder"
        raise DMError(f"expected a DM folder at {str(path)!r}, found {found}; make one with `drr train`")
    try:
        raw = json.loads(file.read_bytes())
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if type(version) is not int or version != DM_SCHEMA:
            raise DMError(
                f"expected a DM of schema {DM_SCHEMA} at {str(path)!r}, got {version!r}; "
                "train it anew with this version"
            )
        return DMManifest.model_validate(raw)
    except (ValueError, RecursionError) as error:
        fault = describe_fault(error)
        raise DMError(f"expected a whole manifest at {str(file)!r}, got {fault}; train the DM anew") from error


def write_manifest(path: Path, manifest: DMManifest) -> None:
    """Write or replace a folder's manifest, whole or not at all."""
    write_whole(path / MANIFEST, lay_out(json.loads(manifest.model_dump_json())) + "\n")


def update_manifest(path: Path, **changes: Any) -> DMManifest:
    """Replace some fields of a folder's manifest; the new manifest.

    Raises:
        DMError: there is no DM, or a field does not take its value.
    """
    old = read_manifest(path)
    try:
        manifest = DMManifest.model_validate({**old.model_dump(), **changes})
    except ValidationError as error:
        raise DMError(
            f"expected values that the manifest of {str(path)!r} can hold, got {describe_fault(error)}; correct them"
        ) from error
    write_manifest(path, manifest)
    return manifest


def set_consensus(path: Path, parameters: Mapping[str, float] | None) -> None:
    """Store the parameters of the consensus policy that were fitted to this DM. Its scores and digest stay as they are.

    Raises:
        DMError: there is no DM, or a parameter is not a finite number.
    """
    update_manifest(path, consensus=None if parameters is None else dict(parameters))


def _save_classifier(path: Path, classifier: "TextClassifier") -> None:
    from drr_agent.dm.doubted import plain_embedding, save_doubts

    model = classifier.model
    model.config.id2label = dict(LABELS)
    model.config.label2id = {name: index for index, name in LABELS.items()}
    save_doubts(model, path)
    with quiet_loading(), plain_embedding(model):
        model.save_pretrained(path)
        classifier.tokenizer.save_pretrained(path)


def _load_classifier(path: Path, max_length: int, device: str | None, dtype: "torch.dtype | None") -> "TextClassifier":
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from drr_agent.dm.classifier import TextClassifier
    from drr_agent.dm.doubted import load_doubts

    _check_weights(path)
    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            model, report = AutoModelForSequenceClassification.from_pretrained(
                path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DMError(f"expected a transformers folder at {str(path)!r}, got {error}; train the DM anew") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise DMError(f"expected whole weights in {str(path)!r}, got none for {missing[:5]!r}; train the DM anew")
    load_doubts(model, tokenizer, path)
    return TextClassifier(model, tokenizer, max_length=max_length, device=device, dtype=dtype)


def _check_weights(path: Path) -> None:
    """Safetensors and the two labels, before anything is loaded."""
    from drr_agent.dm.doubted import WEIGHTS

    if {file.name for file in path.glob("*.safetensors")} <= {WEIGHTS}:
        raise DMError(f"expected weights as *.safetensors in {str(path)!r}, found none; copy the whole folder")
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DMError(f"expected a config.json in {str(path)!r}, got {error}; copy the whole folder") from error
    labels = config.get("id2label") if isinstance(config, dict) else None
    expected = {str(index): name for index, name in LABELS.items()}
    if labels != expected:
        raise DMError(f"expected the labels {expected!r} in {str(path)!r}, got {labels!r}; save the model with those")


def _refuse_code(path: Path) -> None:
    """No file that runs when it is loaded, and no configuration that asks for one."""
    found = sorted(file.name for file in path.iterdir() if file.suffix.lower() in _CAN_RUN)
    found += [file.name for file in sorted(path.glob("*config.json")) if _asks_for_code(file)]
    if found:
        raise DMError(
            f"expected no code in {str(path)!r}, found pickled files, Python or an auto_map in {found!r}, and loading "
            "such files can run it; save weights as safetensors, of a model that transformers knows itself"
        )


def _asks_for_code(config: Path) -> bool:
    with suppress(ValueError, RecursionError):  # what cannot be read is an error of its own when it is loaded
        raw = json.loads(config.read_bytes())
        return isinstance(raw, dict) and "auto_map" in raw
    return False


def _digest(path: Path, manifest: DMManifest) -> str:
    """Twelve hex digits over the weights, the tokenizer, and what the manifest says of scoring."""
    digest = hashlib.sha256(manifest.model_dump_json(include=_SCORING).encode())
    files = (file for pattern in _SCORING_FILES for file in path.glob(pattern))
    for file in sorted(file for file in files if file.name not in {MANIFEST, QUESTIONS, CURVE}):
        digest.update(f"\n{file.name}\n".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:12]
