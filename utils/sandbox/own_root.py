"""A root of a process's own that holds what it may read and nothing else: for kernels without Landlock.

It takes namespaces for users and mounts (user_namespaces(7), mount_namespaces(7)), as far as the system allows them.
"""

import errno
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.sandbox.kernel import call, call_function, set_inspectable

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000  # flags of unshare(2)
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 1 << 14, 1 << 18  # mount(2)
_KEPT = _NOSUID | _NODEV | _NOEXEC  # the same bits in statvfs(3); a mount in a namespace may not lose them
_DETACH = 2  # umount2(2)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_NEW_ROOT = Path("/tmp")  # noqa: S108 - covered by a file system that this process alone sees
_OLD_ROOT = ".old"


def enter(reads: Iterable[Path], writes: Iterable[Path] = ()) -> None:
    """Let this process, which has one thread, see what lies in *reads* and *writes* alone, and write in the latter.

    Raises:
        OSError: the system does not allow it.
    """
    if platform.machine() not in _PIVOT_ROOT:
        raise OSError(errno.ENOSYS, f"The calls of {platform.machine()} are not known")
    _enter_namespaces(os.geteuid(), os.getegid())
    _mount("none", Path("/"), "", _REC | _PRIVATE)
    with _open_paths(reads) as opened, _open_paths(writes) as changed:
        _mount("none", _NEW_ROOT, "tmpfs", _NOSUID | _NODEV)
        for path, descriptor in opened.items():
            _protect(_show(path, descriptor))
        for path, descriptor in changed.items():
            _show(path, descriptor)
    (_NEW_ROOT / _OLD_ROOT).mkdir()
    call(_PIVOT_ROOT[platform.machine()], os.fsencode(_NEW_ROOT), os.fsencode(_NEW_ROOT / _OLD_ROOT))
    os.chdir("/")
    call_function("umount2", os.fsencode(f"/{_OLD_ROOT}"), _DETACH)
    Path(f"/{_OLD_ROOT}").rmdir()
    _mount("none", Path("/"), "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _enter_namespaces(user: int, group: int) -> None:
    """Be the same user in namespaces of our own, where we may mount."""
    set_inspectable(True)  # else the files of /proc/self are root's
    try:
        call_function("unshare", _NEW_MOUNTS | _NEW_USERS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    finally:
        set_inspectable(False)


@contextmanager
def _open_paths(reads: Iterable[Path]) -> Iterator[dict[Path, int]]:
    """Each path that is there, its links followed, by a descriptor that stays when something is mounted above it.

    What lies within another one of them is seen with that.
    """
    real = sorted({path.resolve() for path in reads if path.exists()})
    outer = [path for path in real if not any(other in path.parents for other in real)]
    opened = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in outer}
    try:
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def _show(path: Path, descriptor: int) -> Path:
    """Let *path* be seen at its place in the new root, which is given back."""
    target, source = _NEW_ROOT / path.relative_to("/"), f"/proc/self/fd/{descriptor}"
    if Path(source).is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(source, target, "", _BIND | _REC)
    return target


def _protect(target: Path) -> None:
    """Let what is seen at *target* not be written."""
    flags = os.statvfs(target).f_flag & _KEPT
    _mount("none", target, "", _REMOUNT | _BIND | _RDONLY | flags)


def _mount(source: str, target: Path, kind: str, flags: int) -> None:
    call_function("mount", source.encode(), os.fsencode(target), kind.encode(), flags, None)
