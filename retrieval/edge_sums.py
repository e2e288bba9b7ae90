"""Checksums of the files of a shard that was closed: its engine keeps none, and reads damaged files as they are."""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from utils.private_files import replace_file

_BLOCK = 1 << 20


def write_sums(folder: Path) -> None:
    """Note how the files in *folder* are, beside it; they are on the disk on return. A second for each GB.

    Raises:
        OSError: they cannot be read, or the note not be written.
    """
    replace_file(_place(folder), json.dumps(_sums(folder)).encode())


def remove_sums(folder: Path) -> None:
    """Forget them, before anything in *folder* is changed."""
    _place(folder).unlink(missing_ok=True)


def find_changed(folder: Path) -> str | None:
    """Which file is not as it was noted, "" where all are; None where nothing was noted.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        noted = json.loads(_place(folder).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:  # it is what was damaged
        return None
    found = _sums(folder)
    return next((name for name in sorted(noted.keys() | found.keys()) if noted.get(name) != found.get(name)), "")


def _place(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sums")


def _sums(folder: Path) -> dict[str, list[int]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): _sum(path) for path in files}


def _sum(path: Path) -> list[int]:
    """Size and CRC-32. Blocks of zeros do not count: a copy may have zeros where the file has a hole, or a hole."""
    crc = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        for offset in _blocks_with_data(file.fileno(), size):
            block = os.pread(file.fileno(), _BLOCK, offset)
            if block.strip(b"\0"):
                crc = zlib.crc32(block, zlib.crc32(offset.to_bytes(8), crc))
    return [size, crc]


def _blocks_with_data(descriptor: int, size: int) -> Iterator[int]:
    """Where the blocks begin that are no holes: nearly all of most files is."""
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA) // _BLOCK * _BLOCK
        except OSError:  # a hole to the end
            return
        yield offset
        offset += _BLOCK
