"""Words as they are compared where no index does it: stemmed, without stop words, as hashes."""

from functools import cache

from qdrant_edge import Bm25, Bm25Config

_LANGUAGES = {"en": "english", "id": "indonesian", "es": "spanish"}


def hash_content_words(text: str, language: str) -> frozenset[int]:
    """Hashes of the stems in *text* that carry meaning, to be compared within one *language* (ISO 639-1) only."""
    return frozenset(_load_stemmer(language).embed_query(text).indices)


@cache
def _load_stemmer(language: str) -> Bm25:
    return Bm25(Bm25Config(language=_LANGUAGES.get(language, "english"), ascii_folding=True))
