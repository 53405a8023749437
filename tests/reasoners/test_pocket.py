"""The Reasoner that ships: an ordinary transformers folder, small, and right about as often as its card says."""

import json
from pathlib import Path

import pytest
import torch
from langchain_core.messages import HumanMessage
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import drr_agent
from drr_agent.prompts import Prompts
from drr_agent.reasoners.word_problems import generate_problems

FOLDER = Path(drr_agent.__file__).parent / "reasoners" / "pocket"
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval()


def ask(question):
    return {"role": "user", "content": Prompts().ask(HumanMessage(question)).content}


def reply(model, tokenizer, conversations, **options):
    """New text for each conversation, by the folder's own generation settings unless told otherwise."""
    inputs = tokenizer.apply_chat_template(
        conversations, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        output = model.generate(**inputs, **options)
    return tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_folder_is_small_and_complete():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sum(sizes.values()) <= 8 * MEGABYTE
    assert {"README.md", "config.json", "generation_config.json", "metrics.json", "model.safetensors"} <= sizes.keys()
    assert {"tokenizer.json", "tokenizer_config.json"} <= sizes.keys()


def test_it_loads_in_single_precision(model):
    assert model.dtype == torch.float32
    assert model.config.max_position_embeddings >= 1024


def test_it_samples_by_default(model, tokenizer):
    settings = model.generation_config
    assert settings.do_sample
    assert settings.max_new_tokens >= 120
    assert settings.eos_token_id == tokenizer.eos_token_id
    assert settings.pad_token_id == tokenizer.pad_token_id


def test_the_chat_template_marks_every_role(tokenizer):
    roles = ("system", "user", "assistant", "user")
    text = tokenizer.apply_chat_template(
        [{"role": role, "content": f"{role} text"} for role in roles], tokenize=False, add_generation_prompt=True
    )
    turns = "".join(f"<{role}>{role} text</s>" for role in roles)
    assert text == f"<s>{turns}<assistant>"


def test_the_chat_template_reads_text_blocks(tokenizer):
    blocks = [{"type": "text", "text": "How many"}, {"type": "text", "text": " apples?"}]
    asked = [tokenizer.apply_chat_template([{"role": "user", "content": c}]) for c in (blocks, "How many apples?")]
    assert asked[0]["input_ids"] == asked[1]["input_ids"]


@pytest.mark.parametrize(
    "text", ["Sam has 128 eggs.", "Änderung → 日本 🙂", "tab\tand\n\nlines  ", "x²=y_{1}", "<b>&amp;"]
)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_one_by_one(tokenizer):
    assert [token.strip("Ġ") for token in tokenizer.tokenize("128 + 64")] == ["1", "2", "8", "+", "6", "4"]


def test_it_pads_on_the_left(tokenizer):
    assert tokenizer.padding_side == "left"


def test_it_solves_fresh_questions_about_as_often_as_the_card_says(model, tokenizer):
    problems = generate_problems(48, seed=11)
    replies = reply(model, tokenizer, [[ask(problem.question)] for problem in problems])
    right = [f"\nAnswer: {p.target}" in text for p, text in zip(problems, replies, strict=True)]
    assert 0.35 <= sum(right) / len(right) <= 0.85


def test_it_judges_in_one_word(model, tokenizer):
    problem = generate_problems(1, seed=12)[0]
    turns = [{"role": "assistant", "content": problem.solution}, {"role": "user", "content": Prompts().critique}]
    assert reply(model, tokenizer, [[ask(problem.question), *turns]])[0] in {"yes", "no"}


@pytest.mark.filterwarnings("ignore")
def test_it_can_be_a_classifier():
    classifier = AutoModelForSequenceClassification.from_pretrained(FOLDER, num_labels=2)
    assert classifier(input_ids=torch.tensor([[1, 5, 6]])).logits.shape == (1, 2)


def test_the_card_quotes_the_measured_figures():
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    card = (FOLDER / "README.md").read_text()
    assert f"| right, one draw | {metrics['sampled']:.3f} |" in card
    assert Prompts().digest in card
