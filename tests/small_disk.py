"""A small disk of one's own, to be filled: a tmpfs, in a namespace that needs no rights where the system has these."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.programs import installed, not_installed

_READY = "mounted"
_AT_ONCE = 65_536


class SmallDisk:
    """The file system that *folder* is the root of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "of-somebody-else"

    def free_bytes(self) -> int:
        """What is not written yet."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def leave(self, free_bytes: int) -> None:
        """Let somebody else write until just *free_bytes* are free, or remove as much."""
        held = self._filler.stat().st_size if self._filler.exists() else 0
        with self._filler.open("ab") as file, suppress(OSError):  # others write, too: it may be full sooner
            size = max(0, held + self.free_bytes() - free_bytes)
            file.truncate(min(size, held))
            while held < size:
                part = min(_AT_ONCE, size - held)
                os.posix_fallocate(file.fileno(), held, part)
                held += part

    def empty(self) -> None:
        """Remove what somebody else has written."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """A disk of this size, mounted at *folder* for the length of the block."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "none", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        try:
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
        return
    # Whoever made the namespace ends it with its standard input. Others see into it by the files of its process.
    script = f'"$@" && echo {_READY} && exec cat'
    command = [installed("unshare"), "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *mount]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            if holder.stdout.readline().strip() != _READY:
                not_installed("a kernel with namespaces of users (sysctl user.max_user_namespaces)")
            yield SmallDisk(Path(f"/proc/{holder.pid}/root{folder}"))
        finally:
            with suppress(BrokenPipeError):
                holder.communicate("")
