"""How a DM is trained."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from drr_agent.dm.fusion import Inputs
from drr_agent.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Train low-rank adapters instead of all weights (Hu et al. 2021, arXiv 2106.09685); merged when done."""

    rank: int = 16
    alpha: int = 32

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha < 1:
            raise ConfigError(f"`rank` and `alpha` must be at least 1, got {self.rank!r} and {self.alpha!r}")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of `train_dm`.

    Raises:
        ConfigError: a setting that cannot work.
    """

    backbone: str = "pocket"
    """A transformers folder or hub id, encoder or decoder; `pocket` ships with this package, `minilm` is an extra."""
    inputs: Inputs = "both"
    signals: tuple[str, ...] | None = None
    """Names of the signals to fuse; by default all that the rows have."""
    reasoner_input: bool = False
    """Whether the classifier reads the Reasoner's name, where one DM judges several that err in ways of their own."""
    logprob_input: bool = False
    """Whether the classifier sees how likely each of the Reasoner's tokens was, where the Reasoner says so."""
    max_length: int = 512
    """Most tokens of a text."""
    epochs: float = 3.0
    max_steps: int | None = None
    """Ends the training early, and sets the learning rate's schedule; by default `epochs` decides."""
    batch_size: int = 32
    """Rows a step, on each device."""
    attempts_per_question: int = 8
    """Most attempts at a question that come to a batch together; the pairwise and the listwise loss compare those."""
    learning_rate: float = 5e-5
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    bce_weight: float = 0.1
    """Of the cross-entropy. It tells hard questions from easy ones sooner than right attempts from wrong ones: with
    much of it a classifier learns only the former, with a little it still learns where no question is mixed."""
    pair_weight: float = 1.0
    """Of the pairwise loss, which tells right from wrong attempts at one question."""
    list_weight: float = 0.0
    """Of the listwise loss, which asks that a right attempt stands first among those at its question."""
    hard_pair_weight: float = 2.0
    """What an attempt counts in the pairwise and the listwise loss where a vote is wrong about it: wrong with the
    answer given most often, or right with a rarer one. All others count 1."""
    cross_reasoner: bool = True
    """Where a Reasoner was only right, or only wrong, at a question, compare with other Reasoners' attempts there."""
    weak_labels: bool = False
    """Also learn from labels that are only the agreement of attempts. Validation never does."""
    copies: Literal["all", "one"] = "all"
    """`one`: of attempts at a question that say exactly the same, learn from one."""
    class_weight: Literal["balanced"] | None = None
    """`balanced`: right and wrong rows count alike in the cross-entropy, whichever are more."""
    evaluations: int = 10
    """Evaluations on validation over the whole training; each is a checkpoint, and the best one is kept."""
    early_stopping_patience: int | None = 4
    """Evaluations without a better within-question AUROC before the training stops; `None` never stops."""
    lora: LoraConfig | None = None
    seed: int = 0
    progress: bool = True
    """Show a bar, and a line for each evaluation."""

    def __post_init__(self) -> None:
        if self.inputs not in get_args(Inputs):
            raise ConfigError(f"`inputs` must be one of {get_args(Inputs)!r}, got {self.inputs!r}")
        if self.class_weight not in {None, "balanced"}:
            raise ConfigError(f"`class_weight` must be 'balanced' or None, got {self.class_weight!r}")
        if self.copies not in {"all", "one"}:
            raise ConfigError(f"`copies` must be 'all' or 'one', got {self.copies!r}")
        for name in ("max_length", "epochs", "batch_size", "learning_rate", "hard_pair_weight"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        for name, least in (("attempts_per_question", 2), ("evaluations", 2)):
            _require(name, getattr(self, name), getattr(self, name) >= least, f"at least {least}")
        for name in ("weight_decay", "bce_weight", "pair_weight", "list_weight"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("max_steps", "early_stopping_patience"):
            value = getattr(self, name)
            _require(name, value, value is None or value >= 1, "at least 1, or None")
        _require("warmup_ratio", self.warmup_ratio, 0 <= self.warmup_ratio < 1, "in [0, 1)")
        if self.bce_weight == self.pair_weight == self.list_weight == 0:
            raise ConfigError(
                "`bce_weight`, `pair_weight` and `list_weight` must not all be 0: there would be nothing to learn from"
            )

    def record(self) -> dict[str, Any]:
        """The settings as JSON values, without those that the result does not depend on."""
        values = asdict(self) | {"signals": None if self.signals is None else list(self.signals)}
        return {field.name: values[field.name] for field in fields(self) if field.name != "progress"}


def _require(name: str, value: object, holds: bool, expected: str) -> None:  # noqa: FBT001 - private, one use
    if not holds:
        raise ConfigError(f"`{name}` must be {expected}, got {value!r}")
