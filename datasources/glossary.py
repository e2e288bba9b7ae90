"""A glossary that a language model proposes for tables: what it is shown of them, and what of its reply may be used.

Texts alone come of it: which tables, columns and rows may be read is never for a model to say.
"""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasources.catalog import OpenTable
from datasources.questions.words import STOP, split_name
from datasources.schema import Column
from datasources.text_fields import LONGEST_SYNONYM, MAX_SYNONYMS
from utils.printable import make_printable

_MAX_COLUMNS, _LONGEST_PORTION = 40, 8_000  # of what is shown at once; characters
_LONGEST_NAME, _LONGEST_TYPE, _MAX_SAMPLES, _LONGEST_SAMPLE = 200, 40, 3, 40
_LONGEST_SAID, _MAX_SAID = 100, 4  # of what is known already
_MAX_PROPOSED = 12  # synonyms of one thing
_LONGEST_DESCRIPTION = 300  # characters
_MAX_NOTES = 50

Portion = Sequence[OpenTable]
"""Tables that are shown to a model at once, each with some of its columns."""


@dataclass(slots=True)
class Words:
    """What is proposed for a table or a column."""

    description: str = ""
    synonyms: list[str] = field(default_factory=list)


@dataclass(slots=True)
class TableWords:
    """What is proposed for a table and for its columns; `name_column`: the one that people know its rows by."""

    own: Words = field(default_factory=Words)
    name_column: str | None = None
    columns: dict[str, Words] = field(default_factory=dict)


@dataclass(slots=True)
class Proposal:
    """What is proposed, by table, and `notes`: what of the reply was left out, and why."""

    tables: dict[str, TableWords] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell of something that was left out; of many the first."""
        if len(self.notes) < _MAX_NOTES:
            self.notes.append(text)

    def add(self, other: "Proposal") -> None:
        """Take in what was proposed for another portion."""
        for key, words in other.tables.items():
            merged = self.tables.setdefault(key, TableWords())
            merged.own = merged.own if merged.own.synonyms or merged.own.description else words.own
            merged.name_column = merged.name_column or words.name_column
            merged.columns |= words.columns
        for text in other.notes:
            self.note(text)


def cut_portions(tables: Sequence[OpenTable]) -> list[Portion]:
    """*tables* in portions that a model is shown, one after another; a wide table is in several."""
    portions, room, columns = list[list[OpenTable]](), 0, 0
    for opened in tables:
        begun: OpenTable | None = None
        for column in opened.table.columns:
            size = len(json.dumps(_describe_column(column, opened), ensure_ascii=False))
            if not portions or size > room or columns >= _MAX_COLUMNS:
                portions.append([])
                room, columns, begun = _LONGEST_PORTION, 0, None
            before = begun.table.columns if begun else ()
            begun = replace(opened, table=replace(opened.table, columns=(*before, column)))
            portions[-1][len(portions[-1]) - (1 if before else 0) :] = [begun]
            room, columns = room - size, columns + 1
    return list(portions)


def write_portion(portion: Portion) -> str:
    """What a model is shown: of each table a line of JSON."""
    return "\n".join(json.dumps(_describe(each), ensure_ascii=False) for each in portion)


def _describe(opened: OpenTable) -> dict[str, Any]:
    columns = [_describe_column(each, opened) for each in opened.table.columns]
    return {"table": opened.key[:_LONGEST_NAME], **_describe_entry(opened.entry), "columns": columns}


def _describe_column(column: Column, opened: OpenTable) -> dict[str, Any]:
    samples = [str(each)[:_LONGEST_SAMPLE] for each in column.samples[:_MAX_SAMPLES]]
    about = _describe_entry(opened.entry["allowed_columns"].get(column.name, {}))
    facts = {"name": column.name[:_LONGEST_NAME], "type": column.type[:_LONGEST_TYPE]}
    return {**facts, **({"samples": samples} if samples else {}), **about}


def _describe_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    texts = {
        "description": str(entry.get("description") or "")[:_LONGEST_SAID],
        "synonyms": list(entry.get("synonyms") or ())[:_MAX_SAID],
    }
    return {name: value for name, value in texts.items() if value}


def read_proposal(reply: Mapping[str, Any] | None, portion: Portion) -> Proposal:
    """What of *reply* can be used for *portion*; of the rest the notes tell."""
    proposal, by_key = Proposal(), {each.key: each for each in portion}
    tables = reply.get("tables") if reply else None
    if not isinstance(tables, dict):
        proposal.note(f"No proposal could be read for {', '.join(by_key)[:_LONGEST_NAME]}.")
        return proposal
    for key, entry in tables.items():
        if key not in by_key or not isinstance(entry, dict):
            proposal.note(f"There is no table {_shorten(key)} that may be read: left out.")
        else:
            proposal.tables[key] = _read_table(entry, by_key[key], proposal.note)
    return proposal


def _read_table(entry: Mapping[str, Any], opened: OpenTable, note: Callable[[str], None]) -> TableWords:
    names = {each.name for each in opened.table.columns}
    table_words = TableWords(_read_words(entry, opened.key, note))
    if entry.get("name_column") in names:
        table_words.name_column = entry["name_column"]
    columns = entry.get("columns")
    for name, words in columns.items() if isinstance(columns, dict) else ():
        if name in names and isinstance(words, dict):
            table_words.columns[name] = _read_words(words, f"{opened.key}.{name}", note)
        else:
            note(f"The table {_shorten(opened.key)} has no column {_shorten(name)} that may be read: left out.")
    return table_words


def _read_words(entry: Mapping[str, Any], where: str, note: Callable[[str], None]) -> Words:
    raw = entry.get("description")
    plain = textwrap.shorten(raw, _LONGEST_DESCRIPTION, placeholder="…") if isinstance(raw, str) else ""
    listed = entry.get("synonyms")
    synonyms = listed[:_MAX_PROPOSED] if isinstance(listed, list) else []
    description, *_ = [*_read_texts([plain] if plain else [], _LONGEST_DESCRIPTION, where, note), ""]
    return Words(description, list(_read_texts(synonyms, LONGEST_SYNONYM, where, note)))


def _read_texts(values: Iterable[object], longest: int, where: str, note: Callable[[str], None]) -> Iterator[str]:
    """The *values* that are texts of one line without invisible characters."""
    for value in values:
        text = " ".join(value.split()) if isinstance(value, str) else ""
        if 0 < len(text) <= longest and make_printable(text) == text:
            yield text
        else:
            note(f"What is proposed for {_shorten(where)} is no text, too long or has hidden characters: left out.")


def merge_proposal(proposal: Proposal, tables: Sequence[OpenTable]) -> dict[str, dict[str, Any]]:
    """What is said of *tables* with what *proposal* adds to it, as `allowed_tables` takes it; those that it changes.

    What people have said stays, and what may be read, too. A word that would name two things names neither.
    """
    changed = {}
    counts = _count_names((each.key.rpartition(".")[2], each.entry, proposal.tables.get(each.key)) for each in tables)
    for opened in tables:
        words = proposal.tables.get(opened.key)
        if words is None:
            continue
        entry = {**opened.entry, **_merge(opened.entry, words.own, opened.table.name[1], counts, proposal)}
        if words.name_column in opened.entry["allowed_columns"]:
            entry["name_column"] = opened.entry.get("name_column") or words.name_column
        entry["allowed_columns"] = _merge_columns(opened, words, proposal)
        if entry != opened.entry:
            changed[opened.key] = entry
    return changed


def _merge_columns(opened: OpenTable, words: TableWords, proposal: Proposal) -> dict[str, Any]:
    columns: Mapping[str, Mapping[str, Any]] = opened.entry["allowed_columns"]
    counts = _count_names((name, entry, words.columns.get(name)) for name, entry in columns.items())
    return {
        name: {**entry, **_merge(entry, words.columns.get(name, Words()), name, counts, proposal)}
        for name, entry in columns.items()
    }


def _merge(
    entry: Mapping[str, Any], words: Words, name: str, counts: Mapping[tuple[str, ...], int], proposal: Proposal
) -> dict[str, Any]:
    synonyms: list[str] = list(entry["synonyms"])
    seen = {_normalize(each) for each in (name, *synonyms)}
    for each in words.synonyms:
        key = _normalize(each)
        if key in seen or not key:
            continue
        seen.add(key)
        if counts[key] > 1:
            proposal.note(f"{_shorten(each)} would name {_shorten(name)} and something else: left out.")
        elif len(synonyms) < MAX_SYNONYMS:
            synonyms.append(each)
    return {"description": entry.get("description") or words.description, "synonyms": synonyms}


def _count_names(
    things: Iterable[tuple[str, Mapping[str, Any], TableWords | Words | None]],
) -> Counter[tuple[str, ...]]:
    """How many things each name is of, those that are proposed among them."""
    counted: Counter[tuple[str, ...]] = Counter()
    for name, entry, words in things:
        own = words.own if isinstance(words, TableWords) else words
        counted.update({_normalize(each) for each in (name, *entry["synonyms"], *(own.synonyms if own else ()))})
    return counted


def _normalize(name: str) -> tuple[str, ...]:
    """The words of *name* in their basic forms; empty where they say nothing, such as "the"."""
    words = split_name(name) or (name.casefold(),)
    return () if all(word in STOP for word in words) else words


def _shorten(name: object) -> str:
    return repr(str(name)[:60])
