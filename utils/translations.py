"""Everyday words in English, Spanish and Indonesian: what a word of one of them is in another.

A table of some 920 rows (`translations.json`), each of words that say nearly the same in every language. It is no
dictionary: it holds what visitors of institutions ask about, so that a question meets documents in another language by
words too. Words are compared by their stems.
"""

from collections import defaultdict
from functools import cache, lru_cache

from utils.data_files import load_json
from utils.words import hash_content_words

_LANGUAGES = ("en", "es", "id")  # the columns of the table


@lru_cache(8192)
def find_translations(word: str, source: str, target: str) -> frozenset[int]:
    """Hashes of the stems, see `hash_content_words`, that say in *target* what *word* says in *source*.

    ISO 639-1 codes; within one language those of words that say nearly the same. Empty where nothing is known.
    """
    if source not in _LANGUAGES or target not in _LANGUAGES:
        return frozenset()
    stems, rows = _load_table()
    translations = {row for stem in hash_content_words(word, source) for row in rows[source].get(stem, ())}
    return frozenset().union(*(stems[target][row] for row in translations))


@cache
def _load_table() -> tuple[dict[str, list[frozenset[int]]], dict[str, dict[int, list[int]]]]:
    """By language the stems of each row, and the rows of each stem."""
    table = load_json("utils", "translations.json")
    stems = {
        language: [hash_content_words(row[column], language) for row in table]
        for column, language in enumerate(_LANGUAGES)
    }
    rows: dict[str, dict[int, list[int]]] = {}
    for language, of_rows in stems.items():
        rows[language] = defaultdict(list)
        for number, each in enumerate(of_rows):
            for stem in each:
                rows[language][stem].append(number)
    return stems, rows
