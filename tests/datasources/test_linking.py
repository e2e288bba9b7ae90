"""Schema linking: of many tables those are shown that a question is about, and those that link them."""

from typing import Any

import pytest

from datasources.catalog import OpenTable
from datasources.linking import choose_tables
from datasources.schema import Column, ForeignKey, Table
from datasources.schema_text import write_schema

NOTHING: dict[str, Any] = {"description": "", "synonyms": []}


def make(name: str, *columns: str, to: tuple[str, ...] = (), **said: Any) -> OpenTable:
    keys = tuple(ForeignKey(("parent_id",), ("main", other), ("id",)) for other in to)
    named = [Column("id", "INTEGER"), *(Column(each, "TEXT") for each in columns)]
    named += [Column("parent_id", "INTEGER") for _ in to]
    allowed = {each.name: NOTHING for each in named} | said.pop("columns", {})
    table = Table(("main", name), tuple(named), ("id",), keys)
    return OpenTable(name, table, {**NOTHING, "row_filter": "", "allowed_columns": allowed, **said})


TABLES = [
    *(make(f"archive_{number}", f"field_{number}") for number in range(60)),
    make("machine", "status", to=("plant",), synonyms=["equipo", "mesin"]),
    make("plant", "title", to=("region",)),
    make("region", "title"),
    make("invoice", "amount", description="What customers owe."),
    make("Part Supply", "kind", columns={"kind": {"description": "bearing, seal or bolt", "synonyms": ["repuesto"]}}),
]


@pytest.mark.parametrize(
    ("question", "first", "linked"),
    [
        ("How many machines are stopped?", "machine", []),
        ("¿Cuántos equipos hay?", "machine", []),
        ("Berapa mesin di setiap region?", "machine", ["region", "plant"]),  # plant is named nowhere: it links them
        ("¿Cuántos repuestos?", "Part Supply", []),
        ("Who owes us?", "invoice", []),
    ],
)
def test_the_tables_that_a_question_names_are_chosen(question: str, first: str, linked: list[str]) -> None:
    chosen = [each.key for each in choose_tables(question, TABLES)]
    assert chosen[0] == first
    assert set(linked) <= set(chosen)
    assert len(chosen) <= 10


def test_meaning_finds_what_no_word_does_and_an_unknown_question_still_gets_some_tables() -> None:
    likeness = [0.1] * len(TABLES)
    likeness[62] = 0.9
    assert choose_tables("Gebiete?", TABLES, likeness)[0].key == "region"
    assert len(choose_tables("Gebiete?", TABLES)) == 6


def test_the_schema_is_written_as_sql_has_it_and_within_its_limit() -> None:
    wide = make("wide", *(f"c{number}" for number in range(199)), "status", to=("region",))
    text = write_schema("Which status?", [TABLES[64], wide, *TABLES * 40], "sqlite")
    lines = text.splitlines()
    assert lines[0] == '"Part Supply"'
    assert "  kind TEXT: bearing, seal or bolt; also called repuesto" in lines
    assert {"  id INTEGER, primary key", "  status TEXT", "  parent_id INTEGER, refers to region.id"} <= set(lines)
    assert "  (162 more columns)" in lines
    assert len(text) < 17_000
