"""A kernel that lacks walls: `python -m tests.security.sandbox.lesser_kernel landlock,seccomp PROGRAM ARGUMENT…`.

The program and all that it starts get the answer of a kernel that was built without them. It is done by a filter of
system calls, as Docker and systemd forbid calls too. `only:0,1,…` instead of names: all calls but these are refused.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

from utils.sandbox.kernel import call, forbid_new_privileges

_SECCOMP = {"x86_64": 317, "aarch64": 277}[platform.machine()]
_UNSHARE = {"x86_64": 272, "aarch64": 97}[platform.machine()]
_PRCTL = {"x86_64": 157, "aarch64": 167}[platform.machine()]
_LIMIT = {"x86_64": 302, "aarch64": 261}[platform.machine()]
_CAPSET = {"x86_64": 126, "aarch64": 91}[platform.machine()]
# Of each: the call, the argument that is looked at, and the value that is refused; None where all are.
LACKS: dict[str, tuple[int, int | None, int | None]] = {
    "landlock": (444, None, None),
    "namespaces": (_UNSHARE, None, None),
    "seccomp": (_SECCOMP, None, None),
    "privileges": (_CAPSET, None, None),
    "memory": (_PRCTL, 0, 4),  # PR_SET_DUMPABLE
    "limits": (_LIMIT, 2, None),  # setting one, not reading it
}
_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def lose(names: list[str]) -> None:
    """Let this process and its children live on such a kernel."""
    _install(b"".join(_refusal(name) for name in names) + _instruction(_RETURN, _ALLOW))


def keep(numbers: list[int]) -> None:
    """Let this process and its children make these calls alone; the others are not permitted."""
    allowed = b"".join(_instruction(_EQUALS, number, 0, 1) + _instruction(_RETURN, _ALLOW) for number in numbers)
    _install(_instruction(_LOAD, 0) + allowed + _instruction(_RETURN, _REFUSE | errno.EPERM))


def _install(program: bytes) -> None:
    forbid_new_privileges()
    call(_SECCOMP, 1, 0, ctypes.byref(_Filter(len(program) // 8, program)))


def _refusal(name: str) -> bytes:
    number, argument, value = LACKS[name]
    refuse = _instruction(_RETURN, _REFUSE | errno.ENOSYS)
    if argument is None:
        return _instruction(_LOAD, 0) + _instruction(_EQUALS, number, 0, 1) + refuse
    load = _instruction(_LOAD, 16 + 8 * argument)
    look = _instruction(_EQUALS, 0, 1, 0) if value is None else _instruction(_EQUALS, value, 0, 1)
    return _instruction(_LOAD, 0) + _instruction(_EQUALS, number, 0, 3) + load + look + refuse


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


if __name__ == "__main__":
    if sys.argv[1].startswith("only:"):
        keep([int(number) for number in sys.argv[1].removeprefix("only:").split(",")])
    else:
        lose(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
