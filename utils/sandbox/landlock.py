"""Which files a process may read, as Landlock holds it to that: https://docs.kernel.org/userspace-api/landlock.html

In this module and not by a package: those there were in 2026 were an alpha version and two of a few months.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from utils.sandbox.kernel import call

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1  # flag: tell the ABI's version instead of making anything
_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# Write, remove folders and files, make folders and files; since versions 2 and 3 move and cut off.
_CHANGE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14
_FIRST_FILE_RIGHTS = (1 << 13) - 1
# What each version of the ABI added: rights on files, on TCP ports, and scopes (abstract sockets, signals).
_FILE_RIGHTS = {2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_PORT_RIGHTS = {4: 0b11}
_SCOPES = {6: 0b11}
_NEWEST = 6  # that we know; later ones go on taking what this one took


def get_version() -> int:
    """The kernel's version of Landlock's ABI.

    Raises:
        OSError: there is none: an older kernel, one that was started without it, or a filter of calls in the way.
    """
    return call(_CREATE_RULESET, 0, 0, _VERSION)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What a process will be held to, made once for many: `version` of the ABI, and a descriptor."""

    version: int
    descriptor: int


def make_ruleset(reads: Iterable[Path], programs: Iterable[Path] = (), writes: Iterable[Path] = ()) -> Ruleset:
    """Rules that let what lies in *reads* be read, *programs* be executed, and what lies in *writes* be read, changed
    and made, and nothing else.

    Nothing else can be written or made, no TCP port used, nothing outside be signalled, as far as the kernel's version
    knows of it. Paths that are not there are passed over.

    Raises:
        OSError: this kernel cannot do it.
    """
    ruleset = _create_ruleset(get_version())
    for path in reads:
        _allow(ruleset, path, _READ_FILE | _READ_DIR)
    for path in programs:
        _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
    rights = _FIRST_FILE_RIGHTS | _list_rights(ruleset.version, _FILE_RIGHTS)
    for path in writes:
        _allow(ruleset, path, (_READ_FILE | _READ_DIR | _CHANGE) & rights)
    return ruleset


def restrict(ruleset: Ruleset) -> None:
    """Hold this thread, and all it starts, to *ruleset*, for good.

    Raises:
        OSError: new privileges are not forbidden (`kernel.forbid_new_privileges`).
    """
    call(_RESTRICT_SELF, ruleset.descriptor, 0)


def _create_ruleset(newest: int) -> Ruleset:
    """Rules that forbid all that a version of the ABI knows.

    Kernels of distributions say a version of which they lack a part: then an older one is taken.
    """
    for version in range(min(newest, _NEWEST), 0, -1):
        fields = struct.pack(
            "=QQQ",
            _FIRST_FILE_RIGHTS | _list_rights(version, _FILE_RIGHTS),
            _list_rights(version, _PORT_RIGHTS),
            _list_rights(version, _SCOPES),
        )
        size = 8 if version < 4 else 16 if version < 6 else 24
        try:
            return Ruleset(version, call(_CREATE_RULESET, fields, size, 0))
        except OSError as exc:
            if exc.errno not in (errno.EINVAL, errno.E2BIG):
                raise
    raise OSError(errno.EINVAL, "Landlock takes no ruleset")


def _list_rights(version: int, additions: dict[int, int]) -> int:
    return sum(rights for since, rights in additions.items() if since <= version)


def _allow(ruleset: Ruleset, path: Path, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, so there is nothing to read
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= ~_READ_DIR
        call(_ADD_RULE, ruleset.descriptor, _PATH_BENEATH, struct.pack("=Qi", rights, opened), 0)
    finally:
        os.close(opened)
