"""Figures of an answer and what they rest on, as the API shows them."""

from typing import Literal

from pydantic import BaseModel, Field


class CellOut(BaseModel):
    """A cell of a query's result."""

    row: int = Field(description="Of the query's `rows`, counted from 0.")
    column: str


class FigureOut(BaseModel):
    """A number or date of a sentence, and where it comes from."""

    text: str = Field(examples=["650 hours"])
    status: Literal["cell", "derived", "given", "absent"] = Field(
        description="It stands in a cell; follows from cells; repeats the question or a condition; or none of these."
    )
    how: (
        Literal["cell", "sum", "mean", "largest", "smallest", "difference", "share", "times", "row_count", "given"]
        | None
    ) = Field(description="By what it follows; null: it does not.")
    number: int | None = Field(description="The mark of the result; null where it is in none.")
    cells: list[CellOut] = Field(description="Those that it comes from; empty where it comes from all rows.")


class DataOut(BaseModel):
    """What a data source gave for an answer."""

    data_source_id: str
    sql: str = Field(description="The query that was run.", examples=["SELECT COUNT(*) AS n FROM equipment"])
    columns: list[str]
    rows: list[list[str | int | float | bool | None]] = Field(description="The first 1,000 at most.")
    truncated: bool = Field(description="Whether there are more.")
    understood: str | None = Field(
        description="What the question was taken for, in words; null where a language model wrote the query."
    )


class QueryOut(BaseModel):
    """A query that figures are held to."""

    number: int = Field(description="The mark of its result.")
    data_source: str
    sql: str
    columns: list[str]
    rows: list[list[str | int | float | bool | None]] = Field(
        description="The first ones, which the answer was made from; long texts are shortened."
    )
    row_count: int = Field(description="Of all rows that were read.")
    truncated: bool = Field(description="Whether the database has more than were read.")
