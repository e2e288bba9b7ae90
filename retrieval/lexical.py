"""Texts to weighted terms for BM25, the same for every engine that multiplies them with inverse document frequency."""

from dataclasses import dataclass

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet

from utils.passages import Passage

LANGUAGES = {"en": "english", "es": "spanish", "id": "indonesian"}
AVERAGE_TERMS = 100.0


@dataclass(frozen=True, slots=True)
class Terms:
    """A sparse vector: `indices` are hashes of terms, each once, `values` their weights without document frequency."""

    indices: list[int]
    values: list[float]


def embedding_text(passage: Passage) -> str:
    """What stands for *passage* in both rankings: title, headings and text, a line each."""
    return "\n".join(part for part in (passage.title, passage.heading, passage.text) if part)


class Lexicon:
    """BM25 terms by language: stems without stop words for those of `LANGUAGES`, whole words for any other."""

    def __init__(self) -> None:
        self._known = {code: Bm25(_config(language=name)) for code, name in LANGUAGES.items()}
        self._other = Bm25(_config(stemmer=DisabledStemmer(), stopwords=StopwordsSet()))

    def of_passage(self, passage: Passage) -> Terms:
        """The terms of *passage* in its own language."""
        model = self._known.get(passage.language, self._other)
        found = model.embed_document(embedding_text(passage))
        return Terms(found.indices, found.values)

    def of_question(self, question: str) -> Terms:
        """The terms *question* has in any of the languages, since a short one does not show its own."""
        found = {
            index for model in (*self._known.values(), self._other) for index in model.embed_query(question).indices
        }
        return Terms(sorted(found), [1.0] * len(found))


def _config(**options: object) -> Bm25Config:
    return Bm25Config(ascii_folding=True, avg_len=AVERAGE_TERMS, **options)  # type: ignore[arg-type]
