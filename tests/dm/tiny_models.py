"""Tiny classifiers and tokenizers, built from nothing: an encoder that pads, and a decoder without a padding token."""

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

torch.set_num_threads(1)  # more threads only wait for each other over models this small

SPECIALS = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "</s>")
POSITIONS = 256
_SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def word_tokenizer(texts: Iterable[str], *, encoder: bool) -> PreTrainedTokenizerFast:
    """One token a word; `encoder` brackets texts and has a padding token, the other kind has only an end of text."""
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)})
    vocabulary = {word: index for index, word in enumerate([*SPECIALS, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if not encoder:
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    )


def tiny_classifier(texts: Iterable[str], *, encoder: bool) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A random two-label classifier, the same each time."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(texts, encoder=encoder)
    settings = {**_SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": POSITIONS, "num_labels": 2}
    if encoder:
        return BertForSequenceClassification(BertConfig(**settings, pad_token_id=tokenizer.pad_token_id)), tokenizer
    config = LlamaConfig(**settings, bos_token_id=None, eos_token_id=tokenizer.eos_token_id)
    return LlamaForSequenceClassification(config), tokenizer


def save_backbone(folder: Path, texts: Iterable[str], *, encoder: bool) -> str:
    """A backbone as users have them: a masked or a causal language model, without a classifier's head."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(texts, encoder=encoder)
    settings = {**_SIZE, "vocab_size": len(tokenizer), "max_position_embeddings": POSITIONS}
    if encoder:
        model: PreTrainedModel = BertForSequenceClassification(BertConfig(**settings)).bert
    else:
        model = LlamaForCausalLM(LlamaConfig(**settings, bos_token_id=None, eos_token_id=tokenizer.eos_token_id))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
