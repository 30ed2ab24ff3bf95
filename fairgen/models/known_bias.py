"""The bias that was put into a model on purpose, as a file that ships beside its weights.

``known_bias.json`` says, prompt by prompt, from which distribution the skin tones of the training pictures
were drawn. It is what no model trained on found pictures can have, and what a measured bias is held against.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from fairgen.common.documents import Part, read_document
from fairgen.errors import UserError

__all__ = [
    "KNOWN_BIAS_FILE",
    "KnownBias",
    "KnownBiasRow",
    "ToneLaw",
    "load_known_bias",
]

KNOWN_BIAS_FILE = "known_bias.json"


class KnownBiasRow(Part):
    """One prompt and the tones that its training pictures were given."""

    prompt: str = Field(min_length=1, description="as the model is asked, without any word for tone")
    phrase: str = Field(min_length=1, description="what the prompt is about, for tables")
    group: str = Field(description="a mark for tables, such as 'high'; '' where there is none")
    mean: float = Field(ge=-90, le=90, description="of the normal law, degrees of ITA")
    spread: float = Field(gt=0, le=90, description="its standard deviation, degrees of ITA")


class ToneLaw(Part):
    """What the rows' means and spreads are parameters of: with probability ``uniform_share`` a tone is drawn
    evenly from [low, high], otherwise from the row's normal law, cut to [low, high].
    """

    low: float = Field(ge=-90, le=90, description="degrees of ITA")
    high: float = Field(ge=-90, le=90, description="degrees of ITA")
    uniform_share: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class KnownBias(Part):
    """The whole table."""

    type: Literal["known_bias"] = "known_bias"
    schema_version: Literal[1] = 1
    model: str = Field(description="what the model is called")
    quantity: str = Field(description="what is in degrees of ITA here, for people")
    note: str = Field(description="how the bias came into the model, for people")
    law: ToneLaw
    rows: tuple[KnownBiasRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_prompt_once(self) -> Self:
        prompts = [row.prompt for row in self.rows]
        if len(set(prompts)) < len(prompts):
            raise ValueError("a prompt stands there more than once")
        return self

    def expected_mean(self, row: KnownBiasRow) -> float:
        """Mean ITA of the row's law in degrees: that of the cut normal law, mixed with the uniform share.

        It lies nearer to the middle than ``row.mean``, and is what a model that learnt the table exactly
        would show.
        """
        from scipy.stats import truncnorm

        law = self.law
        low, high = (law.low - row.mean) / row.spread, (law.high - row.mean) / row.spread
        cut = float(truncnorm(low, high, loc=row.mean, scale=row.spread).mean())
        return law.uniform_share * (law.low + law.high) / 2 + (1 - law.uniform_share) * cut

    def spread_out(self, count: int) -> list[int]:
        """Places of ``count`` rows, in the table's order, evenly spread over it from its lightest to its
        darkest mean; all of them where ``count`` is not below their number.

        Raises:
            UserError: ``count`` is below 1.
        """
        if count < 1:
            raise UserError(f"At least one prompt is needed, not {count}.")
        order = sorted(range(len(self.rows)), key=lambda k: (-self.rows[k].mean, k))
        if count >= len(order):
            return sorted(order)
        if count == 1:
            return [order[len(order) // 2]]
        return sorted(order[round(i * (len(order) - 1) / (count - 1))] for i in range(count))


def load_known_bias(folder: str | Path) -> KnownBias | None:
    """The table in a model's folder; None where there is none.

    Raises:
        UserError: the file is there, but cannot be read or is no such table.
    """
    path = Path(folder) / KNOWN_BIAS_FILE
    if not path.is_file():
        return None
    return read_document(path, KnownBias, "table of a known bias")
