"""The tokenizer: byte-level BPE whose digits stand one by one, and the chat template."""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from drr_agent.prompts import Prompts

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
ROLES = {role: f"<{role}>" for role in ("system", "user", "assistant")}
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<' + (message.role if message.role in ('system', 'assistant') else 'user') + '>' }}"
    "{% if message.content is string %}{{ message.content }}"
    "{% else %}{% for block in message.content %}{{ block.text or '' }}{% endfor %}{% endif %}"
    "{{ eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""Every turn opens with its role and closes with the end token, which is also where generation stops."""


def train_tokenizer(texts: Iterable[str], *, vocabulary: int, positions: int) -> PreTrainedTokenizerFast:
    """A tokenizer for these texts and the default prompts; bytes it knows no word for stand by themselves."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            # a digit merges with no other; one that follows a space takes it along, which saves a quarter of the tokens
            pre_tokenizers.Split(Regex(r" ?\d| ?[^\s\d]+|\s"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BOS, EOS, *ROLES.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *_prompt_texts()], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        padding_side="left",
        model_max_length=positions,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _prompt_texts() -> list[str]:
    prompts = Prompts()
    wordings = [prompts.instruction, prompts.wrong, prompts.contrast, prompts.no_answer, prompts.critique]
    return [*wordings, "yes", "no"] * 50
