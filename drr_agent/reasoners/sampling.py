"""The settings of one call to a local Reasoner, checked where they enter."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from drr_agent.errors import ConfigError


def _listed(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


class Sampling(BaseModel):
    """How a reply is drawn; the fields of a `LocalReasoner`, and the keywords of a call to one."""

    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """0 is greedy; by default the model's own generation config decides, or else 1."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    """By default the model's own `max_new_tokens`, or else 1024; never more than its context leaves."""
    stop: Annotated[list[Annotated[str, Field(min_length=1)]] | None, BeforeValidator(_listed)] = None
    """Sequences that end the reply and are cut from it."""
    seed: int | None = Field(default=None, ge=0)
    """Fixes the draw, so the same prompt gets the same reply. Leave it unset where draws must be independent, or
    give each call its own."""
    logprobs: bool = False
    """Report each token's log probability, as the OpenAI API does, in `response_metadata["logprobs"]`."""

    def replace(self, changes: dict[str, Any]) -> "Sampling":
        """These settings with some changed.

        Raises:
            ConfigError: a change is no setting, or out of range.
        """
        kept = {name: getattr(self, name) for name in Sampling.model_fields}
        try:
            return Sampling(**{**kept, **changes})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"expected call settings among {', '.join(Sampling.model_fields)} and in range, "
                f"got {'.'.join(map(str, first['loc']))}={first['input']!r} ({first['msg']}); change or leave it out"
            ) from error
