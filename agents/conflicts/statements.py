"""Sentences as they are compared with those of other documents: what they are about, for whom, and what they state."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agents.conflicts.values import Stated, find_labels, may_state_values, read_values
from agents.conflicts.words import (
    ALTERNATIVES,
    CONDITIONS,
    HEDGES,
    LINKS,
    OPPOSITES,
    OWNERS,
    PAST,
    find_subject,
    is_general,
    list_weekdays,
)
from providers.chat.sentences import Sentence, split_sentences
from utils.facts.folding import fold
from utils.facts.names import find_names
from utils.facts.polarity import find_denying, tokenize
from utils.passages import Passage
from utils.validity import split_edition

_KEPT = 512  # passages whose statements are kept
MAX_STATEMENTS = 60  # of a passage
_LONGEST = 600  # characters of a sentence that is compared
_ADDS = re.compile(
    r"[,;(–]|\b(?:and|but|with|without|before|after|when|if|y|e|pero|con|sin|antes|cuando|si|dan|tetapi|dengan|tanpa|sebelum"
    r"|setelah|jika|yang)\b",
    re.IGNORECASE,
)
_BETWEEN = "\n"  # headings
_OWNER_WORDS = 3  # words of the name of a campus, and of what stands between it and "campus"


@dataclass(frozen=True, slots=True)
class Scope:
    """What and whom a text is about: its alternatives and opposites by group, and campuses, faculties and the like."""

    alternatives: frozenset[tuple[int, int]]
    opposites: frozenset[tuple[int, int]]
    owners: frozenset[tuple[str, str]]
    years: frozenset[int]


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence of a passage that states a value.

    *about* are the words it is about, *added* those of a clause behind it, *around* those of its headings and title;
    *named* are those of both that tell more than "fee" or "contact".
    *scope* is its own, *context* that of its headings and title. *is_vague*: about how much, or of how it was.
    *series* and *edition* are what the title says without its years, and these.
    """

    text: str
    stated: Stated
    about: frozenset[int]
    named: frozenset[int]
    added: frozenset[int]
    around: frozenset[int]
    scope: Scope
    context: Scope
    is_vague: bool
    is_denied: bool
    is_row: bool  # of a table
    is_condition: bool  # of what its heading names
    series: str
    edition: frozenset[int]


def find_statements(passage: Passage) -> Sequence[Statement]:
    """The sentences of *passage* that state a value."""
    return _find_statements(passage.text, passage.title, passage.heading, passage.language)


@lru_cache(_KEPT)
def _find_statements(text: str, title: str, heading: str, language: str) -> Sequence[Statement]:
    statements: list[Statement] = []
    for sentence in split_sentences(text):
        if len(sentence.text) <= _LONGEST and len(statements) < MAX_STATEMENTS and may_state_values(sentence.text):
            statement = _read(sentence, title, heading, language)
            if statement.stated.values or statement.stated.weekdays:
                statements.append(statement)
    return statements


def _read(sentence: Sentence, title: str, heading: str, language: str) -> Statement:
    stated = read_values(sentence.text)
    above = _BETWEEN.join(filter(None, (title, *heading.split(" › "), sentence.lead, sentence.head)))
    words = tokenize(sentence.text)
    plain = [word for word, _ in words]
    free = [(word, at) for word, at in words if not any(start <= at < end for start, end in stated.spans)]
    end = _find_main_end(sentence.text, stated)
    series, edition = split_edition(title)
    main = [word for word, at in free if at < end]
    weekdays = stated.weekdays.union(*map(list_weekdays, plain))
    stated = Stated(stated.values, stated.years, weekdays, stated.owners | _find_owners(sentence.text), stated.spans)
    about = _find_subjects([word for word, at in free if at < end], language)
    headings = [word for word, _ in tokenize(above)]
    around = _find_subjects(headings, language)
    return Statement(
        text=sentence.text,
        stated=stated,
        about=about,
        named=_select_named(about | around, language),
        added=_find_subjects([word for word, at in free if at >= end], language),
        around=around,
        scope=_make_scope(main, stated.owners, stated.years),
        context=_make_context(above, language),
        is_vague=not HEDGES.isdisjoint(main) or not PAST.isdisjoint(main),
        is_denied=bool(find_denying(main, language)),
        is_row=" | " in sentence.text,
        is_condition=not CONDITIONS.isdisjoint(headings),
        series=series,
        edition=edition,
    )


@lru_cache(_KEPT)
def _make_context(above: str, language: str) -> Scope:
    return _make_scope(
        [word for word, _ in tokenize(above)], _find_owners(above) | _find_labels(above), read_values(above).years
    )


def _find_main_end(text: str, stated: Stated) -> int:
    """Where a clause begins that says more behind the last value, as ", next to the gate" or "and is sold there"."""
    last = max((value.end for values in stated.values.values() for value in values), default=len(text))
    match = _ADDS.search(text, last)
    return match.start() if match else len(text)


def _make_scope(words: Iterable[str], owners: frozenset[tuple[str, str]], years: frozenset[int]) -> Scope:
    words = set(words)
    return Scope(
        frozenset(ALTERNATIVES[word] for word in words & ALTERNATIVES.keys()),
        frozenset(OPPOSITES[word] for word in words & OPPOSITES.keys()),
        owners,
        years,
    )


def _select_named(subjects: frozenset[int], language: str) -> frozenset[int]:
    return frozenset(subject for subject in subjects if not is_general(subject, language))


def _find_subjects(words: Iterable[str], language: str) -> frozenset[int]:
    return frozenset(subject for word in words if (subject := find_subject(word, language)) is not None)


def _find_owners(text: str) -> frozenset[tuple[str, str]]:
    """The campuses, faculties and programmes that *text* names, each as a kind and a word of its name."""
    return frozenset().union(*map(_find_owners_in, text.split(_BETWEEN)))


def _find_labels(above: str) -> frozenset[tuple[str, str]]:
    """The lines, grades and the like that headings name by a number."""
    lines = above.split(_BETWEEN)
    return frozenset((label.kind, label.name) for line in lines for label in find_labels(line, tokenize(line)))


def _find_owners_in(text: str) -> frozenset[tuple[str, str]]:
    words = tokenize(text)
    if OWNERS.keys().isdisjoint(word for word, _ in words):
        return frozenset()
    named = {name.start: name.key for name in find_names(text)}
    result = set()
    for index, (word, _) in enumerate(words):
        if word not in OWNERS:
            continue
        after = _name_after(words[index + 1 : index + 1 + _OWNER_WORDS], named)
        before = _name_before(words[index - 1 : index], named) if index else None
        name = after or before
        if name is not None and fold(name) not in OWNERS:
            result.add((OWNERS[word], name))
    return frozenset(result)


def _name_after(words: Sequence[tuple[str, int]], named: dict[int, str]) -> str | None:
    for word, start in words:
        if start in named:
            return named[start]
        if word not in LINKS:
            return None
    return None


def _name_before(words: Sequence[tuple[str, int]], named: dict[int, str]) -> str | None:
    return next((named[start] for _, start in words if start in named), None)
