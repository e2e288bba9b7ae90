"""What data sources look like on the wire, in and out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StringConstraints, WithJsonSchema

from api.dataset_schemas import Strict
from api.paging import PageOut
from datasources.addresses import LONGEST_URI
from datasources.allowed_tables import MAX_TABLES
from datasources.text_fields import MAX_SYNONYMS, SourceName, Synonym, Text
from domain.data_sources import SourceType
from utils.validation import check_text

_MAX_COLUMNS = 200


def _check_uri(uri: SecretStr) -> SecretStr:
    """Checked here: a message of pydantic's could repeat it."""
    if not 0 < len(uri.get_secret_value()) <= LONGEST_URI:
        raise ValueError(f"Has to have 1 to {LONGEST_URI} characters")
    return uri


_Uri = Annotated[
    SecretStr,
    AfterValidator(_check_uri),
    Field(
        description="postgresql://user:password@host:5432/database?sslmode=require, mysql://… likewise, or "
        "sqlite:///file.db of the folder that the operator has for the tenant. Stored encrypted, and never shown."
    ),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_URI, "writeOnly": True}),
]
_Synonyms = Annotated[
    list[Synonym], Field(max_length=MAX_SYNONYMS, description="What people call it, in any language.")
]
_DbName = Annotated[str, StringConstraints(min_length=1, max_length=400), AfterValidator(check_text)]


class ColumnIn(Strict):
    """What is said of a column that may be read. What is left out stays; null: nothing."""

    description: Text | None = None
    synonyms: _Synonyms | None = None


class TableIn(Strict):
    """What is said of a table that may be read. What is left out stays; null: nothing."""

    description: Text | None = None
    synonyms: _Synonyms | None = None
    allowed_columns: Annotated[dict[_DbName, ColumnIn], Field(min_length=1, max_length=_MAX_COLUMNS)] | None = Field(
        None,
        description="Those that may be read, and no others. Left out: as before; null, or left out of a table that was "
        "closed: those that it has now.",
    )
    row_filter: Text | None = Field(
        None,
        description="Which rows may be read: a condition on its columns. {user.NAME} in it stands for an attribute of "
        "whoever asks. Empty or null: all rows.",
        examples=["region = {user.region}"],
    )
    name_column: _DbName | None = Field(
        None, description="The column that people know its rows by; null: one that is called name, or like the table."
    )


class SourceIn(Strict):
    """A new data source."""

    name: SourceName = Field(examples=["Maintenance"])
    type: Literal["postgresql", "mysql", "sqlite"]
    uri: _Uri
    description: Text = ""


class SourcePatch(Strict):
    """What to change; what is left out stays."""

    name: SourceName = Field(default_factory=str)  # null is none
    uri: _Uri = Field(default_factory=lambda: SecretStr(""))
    description: Text = ""
    open_to_visitors: bool = Field(
        False,
        description="Whether bots answer from it to whoever may talk to them; else only to keys with the scope "
        "`data-sources:read`.",
    )
    allowed_tables: Annotated[dict[_DbName, TableIn | None], Field(max_length=MAX_TABLES)] = Field(
        default_factory=dict,
        description="Tables that may be read, by name, with the schema before it where that is not the usual one. "
        "Tables that are left out stay as they are; null: it may not be read any more.",
    )


class SourcePath(BaseModel):
    """Which data source."""

    source_id: str


class ColumnSaid(BaseModel):
    """What is said of a column."""

    description: str
    synonyms: list[str]


class TableSaid(BaseModel):
    """What is said of a table that may be read."""

    description: str
    synonyms: list[str]
    allowed_columns: dict[str, ColumnSaid]
    row_filter: str
    name_column: str | None


class SourceOut(BaseModel):
    """A data source."""

    id: str
    tenant_id: str
    version: int = Field(description="One more with each change.")
    name: str
    type: SourceType
    location: str = Field(description="Of its address what is no secret.")
    description: str
    allowed_tables: dict[str, TableSaid] = Field(description="Those that may be read; no others are.")
    open_to_visitors: bool = Field(description="Whether bots answer from it to whoever may talk to them.")
    schema_read_at: datetime | None
    created_at: datetime
    updated_at: datetime


class SourcesOut(PageOut):
    """A part of the data sources, oldest first."""

    data_sources: list[SourceOut]


class SourceTestOut(BaseModel):
    """What connecting to it came to."""

    source_id: str
    answers: bool = Field(description="Whether it can be read.")
    duration_ms: float
    notes: list[str] = Field(description="What should be better about it.")
    detail: str | None = Field(description="Why it cannot be read, and what to do.")


class ColumnOut(BaseModel):
    """A column as the database has it."""

    name: str
    type: str
    nullable: bool
    samples: list[str] = Field(description="Its most frequent values, shortened.")
    distinct_count: int | None = Field(description="Of the rows that were sampled.")


class ForeignKeyOut(BaseModel):
    """That values of a table are those of another one."""

    columns: list[str]
    table: str
    other_columns: list[str]


class TableOut(BaseModel):
    """A table as the database has it."""

    name: str = Field(description="As `allowed_tables` of a data source names it.")
    fields: list[ColumnOut] = Field(description="Its columns.")
    primary_key: list[str]
    foreign_keys: list[ForeignKeyOut]
    sampled_row_count: int | None = Field(description="How many rows were looked at; null: none.")
    may_be_read: bool


class SchemaOut(BaseModel):
    """What a data source held when it was read."""

    source_id: str
    read_at: datetime | None = Field(description="null: it was not read yet.")
    complete: bool = Field(description="Whether no limit left anything out: 500 tables, 200 columns each, 30 seconds.")
    tables: list[TableOut]


class GlossaryIn(Strict):
    """What a glossary is to be proposed for."""

    table_names: Annotated[list[_DbName], Field(min_length=1, max_length=MAX_TABLES)] | None = Field(
        None, description="Tables that may be read; left out or null: all of them."
    )


class GlossaryProposalOut(BaseModel):
    """What a language model proposes. Nothing of it is stored."""

    source_id: str
    allowed_tables: dict[str, TableSaid] = Field(
        description="What is said of tables with what is proposed for them, to be looked at and sent by PATCH. What "
        "people have said stays, and what may be read, too."
    )
    notes: list[str] = Field(description="What of the model's replies was left out, and why.")
    remaining_table_names: list[str] = Field(description="Those for the next request; empty: all were looked at.")
