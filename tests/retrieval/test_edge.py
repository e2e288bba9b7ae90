"""What is special to the index in this process: its folder, and surviving this process's end."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from qdrant_edge import EdgeShard

from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts
from retrieval.ranking import CANDIDATES
from tests.retrieval.corpus import ACME, DIMENSION, GLOBEX, passage, texts, vector
from utils.errors import StoreRefused, StoreUnavailable

KEPT, DROPPED = passage("The library opens at nine."), passage("Old news of the library.", document_id="news")


@contextmanager
def writer_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has written to the index in *folder*, says so and keeps it open."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.retrieval.test_edge", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "written\n"
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


async def write_and_wait(folder: Path) -> None:
    index = EdgeIndex.open(folder, dimension=DIMENSION)
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [KEPT, DROPPED])
    await index.put_vectors(ACME, {KEPT.passage_id: vector(1)})
    await index.delete_documents(ACME, [DROPPED.document_id])
    print("written", flush=True)
    await asyncio.Event().wait()


async def test_an_index_whose_engine_fails_is_opened_anew(tmp_path: Path) -> None:
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [KEPT])
    for _ in range(2):
        cast(Any, index)._shard.close()  # from here on it refuses all that is asked of it
        assert texts(await index.search(ACME, "library", None, limit=5)) == [KEPT.text]
    cast(Any, index)._shard.close()
    await index.put(ACME, [DROPPED])
    assert await index.counts(ACME) == IndexCounts(passages=2, pending=2)
    assert await index.counts(GLOBEX) == IndexCounts(passages=1, pending=1)
    await index.close()


async def test_what_was_written_survives_the_process_being_killed(tmp_path: Path) -> None:
    with writer_process(tmp_path) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    assert await index.counts(ACME) == IndexCounts(passages=1, pending=0)
    assert await index.counts(GLOBEX) == IndexCounts(passages=2, pending=2)
    assert texts(await index.search(ACME, "library", vector(1), limit=5)) == [KEPT.text]
    assert len(await index.search(GLOBEX, "library", vector(1), limit=5)) == 2
    await index.close()


async def test_a_second_process_is_told_that_the_index_is_taken(tmp_path: Path) -> None:
    with writer_process(tmp_path), pytest.raises(StoreUnavailable, match="open in another process"):
        EdgeIndex.open(tmp_path, dimension=DIMENSION)


async def test_an_index_of_another_dimension_is_refused(tmp_path: Path) -> None:
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    for tenant in (ACME, GLOBEX):
        await index.put(tenant, [KEPT])
    await index.close()
    with pytest.raises(StoreRefused, match="another embedding model"):
        EdgeIndex.open(tmp_path, dimension=DIMENSION + 1)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        EdgeIndex.open(tmp_path / "file" / "index", dimension=DIMENSION)


class Counted:
    """A shard, and the names of what was asked of it."""

    def __init__(self, shard: EdgeShard) -> None:
        self._shard, self.asked = shard, list[str]()

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        return getattr(self._shard, name)


async def test_a_search_in_several_languages_is_three_calls_of_the_engine_and_one_for_the_passages(
    tmp_path: Path,
) -> None:
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    spoken = [passage(f"Library {number}", language=("en", "es", "id")[number % 3]) for number in range(12)]
    await index.put(ACME, spoken)
    # Those without a vector are proposed by their words alone, and not by their meaning.
    await index.put_vectors(ACME, {each.passage_id: vector(1) for each in spoken[:9]})
    await index.search(ACME, "library", vector(1), limit=5)
    counted = Counted(index._shard)
    index._shard = cast(EdgeShard, counted)
    assert len(await index.search(ACME, "library", vector(1), limit=5)) == 5
    assert counted.asked == ["query_batch", "query_batch", "query_batch", "retrieve"]
    counted.asked.clear()
    assert len(await index.search(ACME, "library", None, limit=5)) == 5
    assert counted.asked == ["query_batch", "retrieve"]
    await index.close()


@pytest.mark.parametrize("embedded", [3, CANDIDATES + 3])
async def test_what_the_meaning_alone_proposes_has_the_score_of_its_words(tmp_path: Path, embedded: int) -> None:
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    # The longer a passage, the less a word in it counts: the last ones are not among those the words propose.
    spoken = [passage(f"library {'shelf ' * number}".strip()) for number in range(2 * CANDIDATES)]
    await index.put(ACME, spoken)
    await index.put(GLOBEX, spoken)
    far, near = spoken[-embedded:-3], spoken[-3:]
    await index.put_vectors(ACME, {each.passage_id: vector(0, 1) for each in far})
    await index.put_vectors(ACME, {each.passage_id: vector(1) for each in near})
    hits = await index.search(ACME, "library", vector(1), limit=CANDIDATES)
    assert {each.passage_id for each in near} <= {hit.passage.passage_id for hit in hits}
    assert all(hit.lexical > 0 for hit in hits)
    await index.close()


async def test_an_index_whose_making_was_broken_off_is_made_anew(tmp_path: Path) -> None:
    await EdgeIndex.open(tmp_path, dimension=DIMENSION).close()
    (tmp_path / "edge_config.json").unlink()
    index = EdgeIndex.open(tmp_path, dimension=DIMENSION)
    await index.put(ACME, [KEPT])
    assert await index.counts(GLOBEX) == IndexCounts(passages=0, pending=0)
    await index.close()


if __name__ == "__main__":
    asyncio.run(write_and_wait(Path(sys.argv[1])))
