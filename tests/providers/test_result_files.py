"""Files with the rows of large results, as several processes write them at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from providers.files.results import ConversationFolder, ResultFiles
from utils.disk import DiskSpace
from utils.errors import NotEnoughSpace, NotFound

KEPT, SIZE_BYTES = 5, 1_000


def open_files(root: Path) -> ResultFiles:
    """As each process opens them."""
    return ResultFiles(root, None, DiskSpace(root, 0), max_bytes=KEPT * SIZE_BYTES + 1)


def test_what_a_tenant_keeps_is_bounded_however_many_write_at_once(tmp_path: Path) -> None:
    places = [ConversationFolder(tenant, f"talk-{number}") for number in range(20) for tenant in ("acme", "globex")]

    def put(place: ConversationFolder) -> None:
        open_files(tmp_path).put(place, "a.csv", b"x" * SIZE_BYTES)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(put, places))
    for tenant in ("acme", "globex"):
        assert len(list((tmp_path / tenant).rglob("*.csv"))) == KEPT
    with pytest.raises(NotEnoughSpace, match="for all of the tenant"):
        open_files(tmp_path).put(places[0], "b.csv", b"x" * SIZE_BYTES * (KEPT + 1))
    newest = ConversationFolder("acme", "newest")
    put(newest)
    assert open_files(tmp_path).get(newest, "a.csv") == b"x" * SIZE_BYTES
    with pytest.raises(NotFound):
        open_files(tmp_path).get(ConversationFolder("globex", "newest"), "a.csv")
    assert [len(list((tmp_path / tenant).rglob("*.csv"))) for tenant in ("acme", "globex")] == [KEPT, KEPT]
