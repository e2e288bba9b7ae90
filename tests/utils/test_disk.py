"""When there is room on a disk, and what is said when there is none."""

from collections.abc import Iterator

import pytest

from tests.small_disk import SmallDisk, small_disk
from utils.disk import DiskSpace
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
    assert space.state() == state
    _assert_refused(lambda: space.check_documents(), state != "ok")
    _assert_refused(lambda: space.check_turns(), state == "full")


def test_what_is_to_be_written_must_not_touch_the_reserve(disk: SmallDisk) -> None:
    disk.leave(15 * MB)
    space = DiskSpace(disk.folder, RESERVE)
    space.check_documents(4 * MB)
    _assert_refused(lambda: space.check_documents(6 * MB), True)


def _assert_refused(ask: object, refused: bool) -> None:
    assert callable(ask)
    if not refused:
        ask()
        return
    with pytest.raises(NotEnoughSpace, match=r"^Not enough disk space: ") as told:
        ask()
    assert told.value.headers == {"Retry-After": "60"}
