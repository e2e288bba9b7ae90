"""Embeddings kept on disk between benchmark runs: a passage costs 200 CPU ms, and the sets have thousands of texts."""

import hashlib
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import numpy as np

from utils.ports import Embedder, FloatArray

Embed = Callable[[Sequence[str]], Awaitable[FloatArray]]
_LOCKED_S = 60.0  # while another benchmark writes


class CachedEmbedder:
    """`Embedder` that asks *embedder* only for texts it has never seen.

    One SQLite file a model in *folder*, keyed by the kind (question or passage) and the SHA-256 of the text. Several
    benchmarks may share it at the same time.
    """

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._embedder = embedder
        self._file = sqlite3.connect(
            folder / f"{re.sub('[^A-Za-z0-9.-]', '_', embedder.model)}.sqlite", timeout=_LOCKED_S
        )
        self._file.execute("create table if not exists vectors (key text primary key, vector blob) without rowid")

    @property
    def model(self) -> str:
        """The model's name."""
        return self._embedder.model

    @property
    def dimension(self) -> int:
        """Length of every vector."""
        return self._embedder.dimension

    async def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, shape `(dimension,)`; kept from now on."""

        async def embed(texts: Sequence[str]) -> FloatArray:
            return np.stack([await self._embedder.embed_query(each) for each in texts])

        vector: FloatArray = (await self._kept("question", [text], embed))[0]
        return vector

    async def embed_passages(self, texts: Sequence[str], *, urgent: bool = False) -> FloatArray:
        """The vectors of passages, shape `(len(texts), dimension)`, in order; kept from now on."""
        return await self._kept("passage", texts, self._embedder.embed_passages)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    async def _kept(self, kind: str, texts: Sequence[str], embed: Embed) -> FloatArray:
        keys = [f"{kind}:{hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
        for key, text in zip(keys, texts, strict=True):
            # One at a time, so that a run that is broken off has lost nothing.
            if self._read(key) is None:
                [vector] = await embed([text])
                self._write(key, vector)
        vectors = [self._read(key) for key in keys]
        return np.array([vector for vector in vectors if vector is not None]).reshape(len(texts), self.dimension)

    def _read(self, key: str) -> FloatArray | None:
        row = self._file.execute("select vector from vectors where key = ?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)

    def _write(self, key: str, vector: FloatArray) -> None:
        with self._file:
            # Another benchmark may have written it meanwhile.
            self._file.execute(
                "insert or ignore into vectors values (?, ?)", (key, vector.astype(np.float32).tobytes())
            )
