"""An index of its own for a set that brings its documents, gone when it is closed."""

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from auth.principal import Principal
from evaluation.cases import QuestionSet
from retrieval.edge import EdgeIndex
from retrieval.lexical import make_embedding_text
from retrieval.search import Retriever
from utils.passages import Passage
from utils.ports import Embedder, Reranker

_BATCH = 16  # passages embedded at once


@asynccontextmanager
async def index_corpus(
    questions: QuestionSet,
    ctx: Principal,
    embedder: Embedder,
    reranker: Reranker | None,
    *,
    progress: Callable[[int], object],
) -> AsyncIterator[Retriever]:
    """A retriever over the corpus of *questions* alone; *progress* hears of passages that got their vectors."""
    passages = [_make_passage(row["id"], row.get("title") or "", row["lang"], row["text"]) for row in questions.corpus]
    with tempfile.TemporaryDirectory() as folder:
        index = EdgeIndex.open(Path(folder), dimension=embedder.dimension)
        try:
            await index.put(ctx, passages)
            for start in range(0, len(passages), _BATCH):
                batch = passages[start : start + _BATCH]
                vectors = await embedder.embed_passages([make_embedding_text(passage) for passage in batch])
                await index.put_vectors(ctx, {each.passage_id: vectors[at] for at, each in enumerate(batch)})
                progress(len(batch))
            yield Retriever(embedder, index, reranker=reranker)
        finally:
            await index.close()


def _make_passage(passage_id: str, title: str, language: str, text: str) -> Passage:
    """A document of one passage."""
    return Passage(passage_id, passage_id, title, passage_id, None, None, "", 0, len(text), language, text)
