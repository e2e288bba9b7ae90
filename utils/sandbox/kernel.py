"""Calls of the Linux kernel that Python has no functions for, by ctypes. Elsewhere they raise OSError (ENOSYS)."""

import ctypes
import errno
import os
import signal
import sys

IS_LINUX = sys.platform == "linux"

# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522  # capset(2)

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def call(number: int, *arguments: object) -> int:
    """What the system call *number* gives; *arguments* are integers, bytes (by address) or ctypes objects.

    Raises:
        OSError: as the kernel says.
    """
    _check_linux()
    converted = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _check_result(int(_libc.syscall(ctypes.c_long(number), *converted)))


def call_function(name: str, *arguments: object) -> int:
    """What the function *name* of the C library gives; -1 means that it failed, as with `call`."""
    _check_linux()
    return _check_result(int(getattr(_libc, name)(*arguments)))


def forbid_new_privileges() -> None:
    """Let no program that this process starts have more rights than it: set-uid bits are without effect."""
    _call_prctl(_PR_SET_NO_NEW_PRIVS, 1)


def forbids_new_privileges() -> bool:
    """Whether `forbid_new_privileges` was called here, or before this process was started."""
    return _call_prctl(_PR_GET_NO_NEW_PRIVS) == 1


def drop_capabilities() -> None:
    """Give up what root may do beyond others. A process of root's still owns root's files."""
    _call_prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    call_function(
        "capset", ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref((_CapabilitySets * 2)())
    )


def set_inspectable(allowed: bool) -> None:
    """Whether other processes of this user may read our memory and environment in /proc, and debug us.

    It is inherited by a fork, and starts again with each program that is executed. Root may always. See PR_SET_DUMPABLE
    in prctl(2).
    """
    _call_prctl(_PR_SET_DUMPABLE, int(allowed))


def is_inspectable() -> bool:
    """Whether other processes of this user may look into this one."""
    return _call_prctl(_PR_GET_DUMPABLE) == 1


def end_with(parent_pid: int) -> None:
    """Be killed when *parent_pid*, which must be our parent, ends, however that comes about."""
    if IS_LINUX:
        _call_prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it ended before we asked
        os._exit(1)


def _call_prctl(option: int, argument: int = 0) -> int:
    return call_function("prctl", option, *(ctypes.c_ulong(value) for value in (argument, 0, 0, 0)))


def _check_result(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _check_linux() -> None:
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, "This is not Linux")
