"""What a process in the sandbox finds when it tries its walls."""

import json
import resource
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from utils.sandbox import kernel
from utils.sandbox.walls import Wall

_NOT_FOR_PARSERS = Path(__file__).parents[2] / "config.py"


def register_metric_sources(requests: BinaryIO, answers: BinaryIO) -> None:
    """Write whether each wall holds, as one line of JSON."""
    answers.write(json.dumps({wall: _holds(attempt) for wall, attempt in _ATTEMPTS.items()}).encode() + b"\n")


def _holds(attempt: Callable[[], bool]) -> bool:
    try:
        return not attempt()
    except OSError:
        return True


def _reads_a_file() -> bool:
    with _NOT_FOR_PARSERS.open("rb") as file:
        return bool(file.read(1))


def _opens_a_socket() -> bool:
    with socket.socket():
        return True


def _may_gain_privileges() -> bool:
    return not kernel.forbids_new_privileges()


def _may_write() -> bool:
    return resource.getrlimit(resource.RLIMIT_FSIZE) != (0, 0)


_ATTEMPTS: Mapping[Wall, Callable[[], bool]] = {
    Wall.FILES: _reads_a_file,
    Wall.CALLS: _opens_a_socket,
    Wall.PRIVILEGES: _may_gain_privileges,
    Wall.LIMITS: _may_write,
    Wall.MEMORY: kernel.is_inspectable,
}
