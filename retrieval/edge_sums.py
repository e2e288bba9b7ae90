"""Checksums of the files of a closed shard: its engine has none, and reads damaged files as they are."""

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from utils.private_files import replace_file

_BLOCK = 1 << 20


def write_sums(folder: Path) -> None:
    """Write the checksums of the files in *folder* beside it; the files are on the disk then. A second for each GB.

    Raises:
        OSError: the files cannot be read, or the checksums not be written.
    """
    replace_file(_find_sums(folder), json.dumps(_compute_sums(folder)).encode())


def remove_sums(folder: Path) -> None:
    """Remove them, before anything in *folder* is changed."""
    _find_sums(folder).unlink(missing_ok=True)


def find_changed(folder: Path) -> str | None:
    """The first file that differs from its checksum, "" if none does; None if there are no checksums.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        noted = json.loads(_find_sums(folder).read_bytes())
    except (FileNotFoundError, ValueError):  # not closed, or damaged themselves
        return None
    sums = _compute_sums(folder)
    return next((name for name in sorted(noted.keys() | sums.keys()) if noted.get(name) != sums.get(name)), "")


def _find_sums(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sums")


def _compute_sums(folder: Path) -> dict[str, list[int]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): _compute_sum(path) for path in files}


def _compute_sum(path: Path) -> list[int]:
    """Size and CRC-32 without blocks of zeros: in a copy they may be holes of a sparse file, or the other way round."""
    crc = 0
    with path.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        for offset in _list_data_blocks(file.fileno(), size):
            block = os.pread(file.fileno(), _BLOCK, offset)
            if block.strip(b"\0"):
                crc = zlib.crc32(block, zlib.crc32(offset.to_bytes(8), crc))
    return [size, crc]


def _list_data_blocks(descriptor: int, size: int) -> Iterator[int]:
    """Where the blocks begin that are no holes of a sparse file; most of these files are nearly all holes."""
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA) // _BLOCK * _BLOCK
        except OSError:  # a hole to the end
            return
        yield offset
        offset += _BLOCK
