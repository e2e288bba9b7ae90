"""A small disk of one's own, to be filled: a tmpfs, in a namespace that needs no rights where the system has these."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from tests.programs import installed, not_installed

_INSIDE = "SMALL_DISK_IN_NAMESPACE"
_AT_ONCE = 65_536


class SmallDisk:
    """The file system that *folder* is the root of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "of-somebody-else"

    def measure_free_bytes(self) -> int:
        """What is not written yet."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def leave(self, free_bytes: int) -> None:
        """Let somebody else write until just *free_bytes* are free, or remove as much."""
        held = self._filler.stat().st_size if self._filler.exists() else 0
        with self._filler.open("ab") as file, suppress(OSError):  # others write, too: it may be full sooner
            size = max(0, held + self.measure_free_bytes() - free_bytes)
            file.truncate(min(size, held))
            while held < size:
                part = min(_AT_ONCE, size - held)
                os.posix_fallocate(file.fileno(), held, part)
                held += part

    def empty(self) -> None:
        """Remove what somebody else has written."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_bytes: int, test: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    """A disk of this size, mounted at *folder* for the length of the block.

    Where this user may not mount, *test* is run once more in a namespace where it may, and skipped here if it passes.
    """
    folder.mkdir()
    mount = [installed("mount"), "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "none", str(folder)]
    if not _may_mount() or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        _run_in_namespace(test)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def _may_mount() -> bool:
    return os.geteuid() == 0


def _run_in_namespace(test: pytest.FixtureRequest) -> NoReturn:
    enter = [installed("unshare"), "--user", "--map-root-user", "--mount"]
    if _INSIDE in os.environ or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode != 0:
        not_installed("a kernel with namespaces of users (sysctl user.max_user_namespaces)")
    command = [*enter, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", test.node.nodeid]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=test.config.rootpath,
        env={**environment, _INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(done.stdout[-5000:] + done.stderr[-1000:])
    pytest.skip("it passed in a namespace in which this user may mount")
