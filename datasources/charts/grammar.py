"""What can be said of a chart, and nothing else: no address, expression or picture can come into a spec."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Mark = Literal["bar", "line", "area", "point", "rect"]
Aggregate = Literal["none", "sum", "mean", "min", "max", "count"]
MARKS: tuple[Mark, ...] = ("bar", "line", "area", "point", "rect")
AGGREGATES: tuple[Aggregate, ...] = ("none", "sum", "mean", "min", "max", "count")
LONGEST_NAME, LONGEST_TITLE = 200, 200


class Chart(BaseModel):
    """A chart of a result. `x`, `y` and `colour` are names of its columns; with "count", `y` may be any.

    Of a "rect", `x` and `y` are kinds of things, and `colour` the figure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mark: Mark
    x: str = Field(min_length=1, max_length=LONGEST_NAME)
    y: str = Field(min_length=1, max_length=LONGEST_NAME)
    colour: str | None = Field(None, min_length=1, max_length=LONGEST_NAME)
    aggregate: Aggregate = "none"
    title: str = Field("", max_length=LONGEST_TITLE)

    @property
    def figure_channel(self) -> str:
        """Where the figure is."""
        return "colour" if self.mark == "rect" else "y"


class ChartRefused(Exception):
    """There is no such chart of this result; the text says why, and what to do. *reason*: as in `QuestionRefused`, ""
    where only a language model asks so."""

    def __init__(self, text: str, reason: str = "") -> None:
        super().__init__(text)
        self.reason = reason
