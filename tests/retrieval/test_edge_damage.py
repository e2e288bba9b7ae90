"""Damaged files of the index in this process: put aside with the reason, and begun anew; a sound index never is."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from retrieval import edge
from retrieval.edge import EdgeIndex
from retrieval.index import IndexCounts
from tests.retrieval.corpus import ACME, DIMENSION, GLOBEX, passage, texts, vector
from utils.disk import DiskSpace
from utils.errors import NotEnoughSpace, StoreUnavailable

pytestmark = pytest.mark.long

COUNT = 30
TEXTS = {
    tenant.tenant_id: [f"{tenant.tenant_id} keeps the key of room {number}." for number in range(COUNT)]
    for tenant in (ACME, GLOBEX)
}
PAGE = 4096
Damage = Callable[[Path], None]


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def zero(path: Path) -> None:
    _overwrite(path, lambda size: bytes(size))


def randomise(path: Path, pages: int = 1) -> None:
    _overwrite(path, os.urandom, pages)


def remove(path: Path) -> None:
    path.unlink()


def _overwrite(path: Path, make: Callable[[int], bytes], pages: int = 1) -> None:
    """The first pages with data in them."""
    with path.open("r+b") as file:
        start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        file.seek(start)
        file.write(make(min(pages * PAGE, path.stat().st_size - start)))


DAMAGES = (truncate, empty, zero, randomise, remove)
FILES = (
    "edge_config.json",
    "segments/*/segment.json",
    "segments/*/mutable_id_tracker.mappings",
    "segments/*/payload_storage/page_0.dat",
    "segments/*/vector_storage-meaning/vectors/chunk_0.mmap",
    "segments/*/payload_index/*dataset*-map/page_0.dat",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index with passages of two tenants and vectors, closed."""
    folder = tmp_path_factory.mktemp("sound") / "index"
    asyncio.run(_make_index(folder))
    return folder


async def _make_index(folder: Path) -> None:
    index = EdgeIndex.open(folder, dimension=DIMENSION)
    for tenant in (ACME, GLOBEX):
        passages = [passage(text, document_id=f"d{number}") for number, text in enumerate(TEXTS[tenant.tenant_id])]
        await index.put(tenant, passages)
        await index.put_vectors(tenant, {each.passage_id: vector(1) for each in passages})
    await index.close()


@pytest.fixture
def closed(sound: Path, tmp_path: Path) -> Path:
    """A copy of it as it was closed."""
    # With its holes: nearly all of it is.
    command = ["cp", "-a", "--sparse=always", str(sound.parent), str(tmp_path / "copy")]
    subprocess.run(command, check=True)
    return tmp_path / "copy" / "index"


@pytest.fixture
def killed(closed: Path) -> Path:
    """A copy of it as a process leaves it that is killed: nobody has noted how its files are."""
    closed.with_name("index.sums").unlink()
    return closed


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage", [zero, *(pytest.param(each, marks=pytest.mark.long) for each in DAMAGES if each != zero)]
)
async def test_whatever_changed_since_it_was_closed_is_seen_and_named(
    closed: Path, name: str, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    [path] = closed.glob(name)
    damage(path)
    await _assert_replaced(closed, caplog, f"{path.relative_to(closed)} has changed since it was closed")


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("edge_config.json", truncate, "Failed to deserialize"),
        ("segments/*/segment.json", zero, "segment"),
        ("segments/*/mutable_id_tracker.mappings", randomise, "Corrupted ID tracker"),
        ("segments/*/vector_storage-meaning/vectors/chunk_0.mmap", zero, "a vector is not of length 1"),
        ("segments/*/vector_storage-meaning/vectors/chunk_0.mmap", empty, ""),
        ("segments/*/payload_storage/page_0.dat", empty, ""),
        ("segments/*/payload_storage/page_0.dat", randomise, ""),
        ("segments/*/payload_storage/tracker.dat", empty, ""),
    ],
)
async def test_after_a_kill_another_process_reads_it_through_and_bears_what_ends_it(
    killed: Path, name: str, damage: Damage, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    [path] = killed.glob(name)
    damage(path)
    await _assert_replaced(killed, caplog, reason)


async def test_a_sound_index_is_opened_as_it_is_closed_or_killed(
    closed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        index = _open(closed)
        await _assert_whole(index)
        await index.close()
    dense = closed.parent / "dense"
    _copy_without_holes(closed, dense / "index")
    shutil.copy(closed.with_name("index.sums"), dense / "index.sums")
    for folder in (dense / "index", closed):
        if folder == closed:
            folder.with_name("index.sums").unlink()
        index = _open(folder)
        await _assert_whole(index)
        await index.close()
    assert "damaged" not in caplog.text
    assert not closed.with_name("index.damaged").exists()


async def test_damage_while_it_is_open_is_found_when_the_engine_fails(
    closed: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "CHECK_AGAIN_S", 0.0)
    replaced: list[bool] = []
    index = EdgeIndex.open(closed, dimension=DIMENSION, on_replaced=lambda: replaced.append(True))
    [path] = closed.glob("segments/*/payload_storage/page_0.dat")
    randomise(path, pages=16)  # of all texts: which of those that are alike are found is not said
    assert await index.search(ACME, "key of room 3", None, limit=5) == []
    assert replaced == [True]
    assert f"The passage index in {closed} is damaged: " in caplog.text
    await _assert_fillable(index)
    await index.close()


async def test_where_there_is_no_room_a_damaged_index_is_not_kept(
    closed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remove(closed / "edge_config.json")
    disk = DiskSpace(
        closed, DiskSpace(closed, 0).measure_free_bytes() * 3 // 2
    )  # less is free, and more than half of it
    index = EdgeIndex.open(closed, dimension=DIMENSION, disk=disk)
    await index.close()
    assert "It is deleted, as there is no room to keep it." in caplog.text
    assert not closed.with_name("index.damaged").exists()


async def test_nothing_is_written_where_the_disk_is_full(closed: Path) -> None:
    index = _open(closed)
    changed = replace(passage(TEXTS[ACME.tenant_id][0]), valid_until="2020-01-01")
    cast(Any, index)._disk = DiskSpace(closed, 10**18)
    with pytest.raises(NotEnoughSpace):
        await index.update_document(ACME, changed)
    with pytest.raises(NotEnoughSpace):
        await index.delete_documents(ACME, [changed.document_id])
    for tenant in (ACME, GLOBEX):
        assert texts(await index.search(tenant, "key of room 3", None, limit=COUNT)) != []
    await index.close()


async def test_an_index_that_another_process_has_is_not_taken_for_damaged(closed: Path) -> None:
    index = _open(closed)
    with pytest.raises(StoreUnavailable, match="open in another process"):
        _open(closed)
    await _assert_whole(index)
    await index.close()


def _open(folder: Path) -> EdgeIndex:
    return EdgeIndex.open(folder, dimension=DIMENSION)


async def _assert_replaced(folder: Path, caplog: pytest.LogCaptureFixture, reason: str) -> None:
    replaced: list[bool] = []
    index = EdgeIndex.open(folder, dimension=DIMENSION, on_replaced=lambda: replaced.append(True))
    assert replaced == [True]
    assert (index.loss_count, index.is_whole) == (1, False)
    [told] = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert told.startswith(f"The passage index in {folder} is damaged: ")
    assert reason in told
    assert told.endswith(
        f". It is kept as {folder}.damaged. A new one is filled from the database: by words at once, by meaning as "
        "vectors are computed."
    )
    assert (folder.parent / "index.damaged" / "segments").is_dir()
    await _assert_fillable(index)
    await index.close()
    again = _open(folder)
    assert await again.counts(ACME) == IndexCounts(passages=1, pending=1)
    await again.close()


async def _assert_fillable(index: EdgeIndex) -> None:
    for tenant in (ACME, GLOBEX):
        assert await index.counts(tenant) == IndexCounts(passages=0, pending=0)
    await index.put(ACME, [passage(TEXTS[ACME.tenant_id][0])])
    assert texts(await index.search(ACME, "key", None, limit=5)) == TEXTS[ACME.tenant_id][:1]
    assert await index.search(GLOBEX, "key", None, limit=5) == []


async def _assert_whole(index: EdgeIndex) -> None:
    assert (index.loss_count, index.is_whole) == (0, True)
    for tenant in (ACME, GLOBEX):
        assert await index.counts(tenant) == IndexCounts(passages=COUNT, pending=0)
        [best, *_] = await index.search(tenant, "key of room 3", vector(1), limit=5)
        assert best.passage.text in TEXTS[tenant.tenant_id]


def _copy_without_holes(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
