"""Schema linking: which tables matter for a question. They are chosen like passages, by words and by meaning."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from datasources.access import TableName
from datasources.catalog import OpenTable
from datasources.questions.words import STOP, read_name, reduce_word, split_words

FEW_TABLES = 6
"""So many are shown without choosing."""
_MAX_TABLES = 10  # with those that link them
_LONGEST_PATH = 3  # foreign keys from one table to another
_OF_NAMES, _OF_COLUMNS, _OF_TEXTS = 3.0, 2.0, 1.0  # how much a word counts, by where it stands
_FUSION = 60  # of reciprocal ranks, as in the search of passages
_MAX_BY_MEANING = 20
_LONGEST_TEXT = 500  # characters


def choose_tables(question: str, tables: Sequence[OpenTable], likeness: Sequence[float] = ()) -> list[OpenTable]:
    """The tables that matter for *question*, best first, then the tables that link them.

    *likeness*: how near each of *tables* comes to it by meaning, where that is known.
    """
    if len(tables) <= FEW_TABLES:
        return list(tables)
    by_meaning = sorted(range(len(likeness)), key=lambda index: -likeness[index])[:_MAX_BY_MEANING]
    scores = Counter[int]()
    for ranking in (rank_by_words(question, tables), by_meaning):
        for place, index in enumerate(ranking):
            scores[index] += 1 / (_FUSION + place)  # type: ignore[assignment] # a Counter of any number
    found = _add_links([index for index, _ in scores.most_common(FEW_TABLES)], tables)
    return [tables[index] for index in _fill_up(found, tables)]


def rank_by_words(question: str, tables: Sequence[OpenTable]) -> list[int]:
    """The places of the tables that share a word with *question*, best first; rare words count for more."""
    words = set(_reduce(split_words(question)))
    weights = [_weigh_words(each) for each in tables]
    counts = Counter(word for each in weights for word in each.keys() & words)
    scores = [
        sum(each[word] * math.log(1 + len(tables) / counts[word]) for word in each.keys() & words) for each in weights
    ]
    return [at for at in sorted(range(len(tables)), key=lambda at: -scores[at]) if scores[at] > 0]


def describe_table(opened: OpenTable) -> str:
    """What is known of the table as one text: names, glossary, descriptions, samples of values."""
    names, columns, texts = _list_texts(opened)
    return " ".join(". ".join(filter(None, (*names, *texts[:1], ", ".join(columns), *texts[1:]))).split())[
        :_LONGEST_TEXT
    ]


def _list_texts(opened: OpenTable) -> tuple[list[str], list[str], list[str]]:
    """Names of the table, names of its columns, and other texts, its description first."""
    entry = opened.entry
    columns: Mapping[str, Mapping[str, object]] = entry["allowed_columns"]
    about = [columns.get(each.name, {}) for each in opened.table.columns]
    named = [" ".join(read_name(each.name)) for each in opened.table.columns]
    synonyms = [str(each) for one in about for each in _make_list(one.get("synonyms"))]
    samples = [str(sample) for each in opened.table.columns for sample in each.samples]
    descriptions = [str(one.get("description") or "") for one in about]
    return (
        [" ".join(read_name(opened.table.name[1])), *entry["synonyms"]],
        [*named, *synonyms],
        [entry["description"], *descriptions, *samples],
    )


def _make_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _weigh_words(opened: OpenTable) -> dict[str, float]:
    result: dict[str, float] = {}
    for texts, weight in zip(_list_texts(opened), (_OF_NAMES, _OF_COLUMNS, _OF_TEXTS), strict=True):
        for word in _reduce(word for text in texts for word in split_words(text)):
            result[word] = max(weight, result.get(word, 0.0))
    return result


def _reduce(words: Iterable[str]) -> Iterable[str]:
    return (reduce_word(word) for word in words if word not in STOP)


def _add_links(chosen: Sequence[int], tables: Sequence[OpenTable]) -> list[int]:
    """*chosen* with the tables on the shortest ways between them, as far as there is room."""
    neighbours = _find_neighbours(tables)
    result = list(chosen)
    for start in chosen:
        for way in _find_ways(start, set(chosen), neighbours):
            new = [at for at in way if at not in result]
            if len(result) + len(new) <= _MAX_TABLES:
                result += new
    return result


def _fill_up(result: Sequence[int], tables: Sequence[OpenTable]) -> list[int]:
    """*result*, and where there is room for more, those beside them, then any: a question need not name its tables."""
    neighbours = _find_neighbours(tables)
    beside = sorted(set().union(*(neighbours[at] for at in result)))
    return list(dict.fromkeys([*result, *beside, *range(len(tables))]))[: max(FEW_TABLES, len(result))]


def _find_neighbours(tables: Sequence[OpenTable]) -> list[set[int]]:
    places: dict[TableName, int] = {each.table.name: index for index, each in enumerate(tables)}
    neighbours: list[set[int]] = [set() for _ in tables]
    for index, each in enumerate(tables):
        for key in each.table.foreign_keys:
            other = places.get(key.other_table, index)
            neighbours[index].add(other)
            neighbours[other].add(index)
    return neighbours


def _find_ways(start: int, ends: set[int], neighbours: Sequence[set[int]]) -> list[tuple[int, ...]]:
    """What lies between *start* and each of *ends* that is reached through other tables alone."""
    queue: deque[tuple[int, tuple[int, ...]]] = deque([(start, ())])
    seen, ways = {start}, list[tuple[int, ...]]()
    while queue:
        at, between = queue.popleft()
        for other in sorted(neighbours[at] - seen):
            seen.add(other)
            if other in ends:
                ways.append(between)
            elif len(between) + 1 < _LONGEST_PATH:
                queue.append((other, (*between, other)))
    return ways
