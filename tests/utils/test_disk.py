"""When there is room on a disk, and what is said when there is none."""

from collections.abc import Iterator

import pytest

from tests.small_disk import SmallDisk, small_disk
from utils.disk import DiskSpace, UploadSpace
from utils.errors import NotEnoughSpace

MB = 1_000_000
RESERVE = 10 * MB


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("small") / "disk", 20 * MB, request) as mounted:
        yield mounted


@pytest.mark.parametrize(
    ("free", "state"),
    [(15 * MB, "ok"), (RESERVE + MB, "ok"), (RESERVE - MB, "low"), (4 * MB, "full"), (0, "full")],
)
def test_documents_stop_at_the_reserve_and_questions_at_half_of_it(disk: SmallDisk, free: int, state: str) -> None:
    disk.leave(free)
    space = DiskSpace(disk.folder / "not" / "made" / "yet", RESERVE)
    assert space.measure_state() == state
    _assert_refused(lambda: space.check_documents(), state != "ok")
    _assert_refused(lambda: space.check_turns(), state == "full")


def test_what_is_to_be_written_must_not_touch_the_reserve(disk: SmallDisk) -> None:
    disk.leave(15 * MB)
    space = DiskSpace(disk.folder, RESERVE)
    space.check_documents(4 * MB)
    _assert_refused(lambda: space.check_documents(6 * MB), True)


def test_uploads_book_what_they_announce_and_a_tenant_has_half_of_the_room(disk: SmallDisk) -> None:
    disk.leave(RESERVE + 8 * MB)
    space = UploadSpace(DiskSpace(disk.folder, RESERVE))
    _assert_refused(lambda: _book(space, "acme", 5 * MB), True)
    with space.book("acme", 3 * MB), space.book("globex", 3 * MB):
        _assert_refused(lambda: _book(space, "acme", 2 * MB), True)
        _assert_refused(lambda: _book(space, "initech", 3 * MB), True)
        _assert_refused(lambda: _book(space, "initech", MB), False)
    _assert_refused(lambda: _book(space, "acme", 4 * MB - 100_000), False)


def test_an_upload_without_a_size_books_ahead_of_what_comes(disk: SmallDisk) -> None:
    disk.leave(RESERVE + 8 * MB)
    space = UploadSpace(DiskSpace(disk.folder, RESERVE))
    with space.book("acme", None) as booking:
        assert 0 < booking.booked_bytes < 2 * MB
        for _ in range(2):
            space.check_next(booking, MB)
        assert booking.booked_bytes > 2 * MB
        _assert_refused(lambda: space.check_next(booking, 2 * MB), True)
        disk.leave(RESERVE + MB)
        _assert_refused(lambda: space.check_next(booking, 2 * MB), True)


def _book(space: UploadSpace, tenant_id: str, size_bytes: int) -> None:
    with space.book(tenant_id, size_bytes):
        pass


def _assert_refused(ask: object, refused: bool) -> None:
    assert callable(ask)
    if not refused:
        ask()
        return
    with pytest.raises(NotEnoughSpace, match=r"^Not enough disk space: ") as told:
        ask()
    assert told.value.headers == {"Retry-After": "60"}
