"""The training loop: steps, learning rates and checkpoints."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pocket.conversations import Conversation
from pocket.curriculum import Batch, Curriculum
from pocket.recipe import Recipe


def create_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained model for the tokenizer."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        max_position_embeddings=recipe.positions,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


@dataclass(kw_only=True)
class Training:
    """A model in training, and how far it has come."""

    recipe: Recipe
    curriculum: Curriculum
    model: LlamaForCausalLM
    checkpoint: Path
    step: int = 0

    def __post_init__(self) -> None:
        matrices = [p for p in self.model.model.layers.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.model.parameters() if id(p) not in chosen]
        decay = self.recipe.weight_decay
        # Muon learns the matrices in about half of AdamW's steps; embeddings and norms are not its matter
        self.optimizers = [
            torch.optim.Muon(matrices, lr=1.0, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=1.0, weight_decay=0.0, betas=(0.9, 0.98)),
        ]

    def run(self, until: int, draw: Callable[[int], list[Conversation]]) -> None:
        """Train up to a step on the conversations that `draw` gives a chunk of steps; both ends fall on chunks."""
        self.model.train()
        progress = tqdm(total=until, initial=self.step, desc="training")
        while self.step < until:
            chunk = self.step // self.recipe.pool
            losses = [self._step(batch) for batch in self.curriculum.batches(draw(chunk), chunk)]
            progress.update(len(losses))
            progress.set_postfix(loss=f"{sum(losses) / len(losses):.3f}")
            self.save()
        progress.close()
        self.model.eval()

    def save(self) -> None:
        """Write the checkpoint; a crash while writing leaves the one before."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        state = {"step": self.step, "model": self.model.state_dict(), "optimizers": optimizers}
        part = self.checkpoint.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.checkpoint)

    def load(self) -> None:
        """Take up the checkpoint."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        for optimizer, values in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)

    def _step(self, batch: Batch) -> float:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate_at(self.step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = weighted_loss(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        return loss.item()


def weighted_loss(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the learned tokens, averaged by weight."""
    ids = _padded([torch.tensor(item.ids) for item in batch])
    weights = _padded([torch.tensor(item.weights) for item in batch])[:, 1:]
    learned = weights > 0
    # padding stands on the right, where a causal model does not look, so no mask is needed
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1][learned]
    losses = cross_entropy(model.lm_head(hidden).float(), ids[:, 1:][learned], reduction="none")
    return (losses * weights[learned]).sum() / weights[learned].sum()


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
