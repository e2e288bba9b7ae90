"""Which system calls a process may make, as a filter in the kernel (seccomp) holds it to that.

What is listed is allowed, and the rest refused (EPERM): a call that nobody thought of is not one that a hostile file
can make. Calls that no parser makes by mistake end the process. Sources: seccomp(2), linux/seccomp.h, linux/filter.h.

In this module and not by a package: libseccomp's bindings need its library, which a fresh machine may lack.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from utils.sandbox.kernel import call

# Numbers on x86-64 (asm/unistd_64.h) and on 64-bit ARM (asm-generic/unistd.h); None where there is no such call.
_Numbers = tuple[int | None, int | None]
_ALLOWED: Mapping[str, _Numbers] = {
    # the connection, and files that may be read
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "readv": (19, 65),
    "writev": (20, 66), "preadv": (295, 69), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "close_range": (436, 436), "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72),
    "fadvise64": (221, 223),
    # for what is watched already: the threads that draw charts begin before the filter
    "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    # what there is to read
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None),
    "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "statfs": (137, 43), "fstatfs": (138, 44),
    # memory
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "madvise": (28, 233), "membarrier": (324, 283),
    # itself
    "getpid": (39, 172), "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158), "getpgrp": (111, None),
    "getpgid": (121, 155), "getsid": (124, 156), "getresuid": (118, 148), "getresgid": (120, 150),
    "getrusage": (98, 165), "getrlimit": (97, 163), "getpriority": (140, 141), "times": (100, 153),
    "arch_prctl": (158, None), "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    # threads that are there
    "futex": (202, 98), "set_robust_list": (273, 99), "get_robust_list": (274, 100), "rseq": (334, 293),
    "set_tid_address": (218, 96), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "getcpu": (309, 168),
    # the time, the machine, chance
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "uname": (63, 160), "sysinfo": (99, 179),
    "getrandom": (318, 278),
}  # fmt: skip
# Of a program: becoming it. Which one it may be is for Landlock to say.
_OF_PROGRAMS: Mapping[str, _Numbers] = {"execve": (59, 221)}
# Of what may make files in a folder of its own: Landlock, or its own root, says in which.
_OF_WRITERS: Mapping[str, _Numbers] = {
    "pwrite64": (18, 68), "pwritev": (296, 70), "fallocate": (285, 47),
    "ftruncate": (77, 46), "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "umask": (95, 166), "pipe": (22, None), "pipe2": (293, 59),
    "eventfd2": (290, 19),
}  # fmt: skip
# Nothing that reads a file has any use for these.
_FATAL: Mapping[str, _Numbers] = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsmount": (432, 432), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None),
}  # fmt: skip
# The C library takes these for missing, and makes an older call instead, which the filter can look into.
_ABSENT: Mapping[str, _Numbers] = {"clone3": (435, 435), "openat2": (437, 437)}
_LATER_THAN_KNOWN = 470  # calls that came after this was written: missing too

_TMPFILE = 0o20000000  # without O_DIRECTORY, which O_TMPFILE holds too
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | _TMPFILE
_LOCKS = (5, 6, 7, 36, 37, 38)  # of fcntl: ask for a lock, set it, wait for it; of the process and of the open file
_NEW_THREAD = 0x10000  # flag of clone(2): it stays in this process
_FCNTL = (0, 1, 2, 3, 4, 1030)  # duplicate, flags of the descriptor, flags of the file; no owner, lease or seal
_IOCTL = (0x5401, 0x5450, 0x5451, 0x541B)  # is it a terminal, close on exec, and how much can be read
_PRCTL = (3, 15, 16, 39, 0x53564D41)  # is it inspectable, has it no new privileges; names of threads and of memory

_LOAD, _EQUALS, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; an argument has 8 bytes
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_X32 = 0x40000000  # calls of x86-64's variant with short pointers carry this bit

_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_SECCOMP: Mapping[str, int] = {"x86_64": 317, "aarch64": 277}
_ARCHITECTURES: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # linux/audit.h


@dataclass(frozen=True, slots=True)
class _CheckedCall:
    """A call that is allowed with one of *flags* set in an argument, else with none of *bits*, else with *values*."""

    numbers: _Numbers
    argument: int
    values: tuple[int, ...] = ()
    bits: int = 0
    flags: int = 0
    is_pointer: bool = False  # values are compared in all of its 64 bits


_ITSELF = (0xDEADBEEF,)  # to be replaced; no number of a call or a flag is this one
_OWN_PID = struct.pack("=I", *_ITSELF)
_CHECKED = (
    _CheckedCall((2, None), 1, bits=_WRITES),  # open
    _CheckedCall((257, 56), 2, bits=_WRITES),  # openat
    _CheckedCall((72, 25), 1, _FCNTL),
    _CheckedCall((16, 29), 1, _IOCTL),
    _CheckedCall((157, 167), 0, _PRCTL),
    _CheckedCall((302, 261), 2, (0,), is_pointer=True),  # prlimit64: reading limits, not setting them
    _CheckedCall((62, 129), 0, _ITSELF),  # kill
    _CheckedCall((200, 130), 0, _ITSELF),  # tkill
    _CheckedCall((234, 131), 0, _ITSELF),  # tgkill
)


# In place of those, or beside them, for what may make files, and threads. Before its version 3 Landlock lets files be
# cut off that may not be written: so that is for those that are opened to be written. It knows of no rights of files.
_CHECKED_OF_WRITERS = (
    _CheckedCall((2, None), 1, flags=os.O_WRONLY | os.O_RDWR, bits=os.O_TRUNC),  # open
    _CheckedCall((257, 56), 2, flags=os.O_WRONLY | os.O_RDWR, bits=os.O_TRUNC),  # openat
    _CheckedCall((72, 25), 1, (*_FCNTL, *_LOCKS)),
    _CheckedCall((56, 220), 0, flags=_NEW_THREAD),  # clone
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a process may do beside reading: become another program, make files (which Landlock holds to a folder)."""

    executes: bool = False
    writes: bool = False


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_calls(allowance: Allowance) -> None:
    """Let this process make the calls a parser needs, and *allowance*, and no others; all its threads are held to it.

    So is the program that it becomes, where it may. It cannot be undone.

    Raises:
        OSError: this kernel has no such filters, or they are not known for this kind of processor.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"The calls of {machine} are not known")
    instructions = compile_filter(machine, os.getpid(), allowance)
    program = _Filter(len(instructions) // 8, instructions)
    call(_SECCOMP[machine], _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program))


def prepare_filter(allowance: Allowance) -> None:
    """Do what `forbid_calls` would do first, for the processes that are forked from this one."""
    if platform.machine() in _ARCHITECTURES:
        _load_template(platform.machine(), allowance)


def compile_filter(machine: str, pid: int, allowance: Allowance) -> bytes:
    """The filter for process *pid* on a *machine* ("x86_64" or "aarch64"), as struct sock_filter's."""
    # A process may signal itself, as it does to abort. Its number is all that differs: the rest is made once.
    return _load_template(machine, allowance).replace(_OWN_PID, struct.pack("=I", pid))


@cache
def _load_template(machine: str, allowance: Allowance) -> bytes:
    column = list(_ARCHITECTURES).index(machine)
    allowed = {**_ALLOWED, **(_OF_PROGRAMS if allowance.executes else {}), **(_OF_WRITERS if allowance.writes else {})}
    program = [
        _make_instruction(_LOAD, _ARCHITECTURE),
        _make_instruction(_EQUALS, _ARCHITECTURES[machine], 1, 0),
        _make_instruction(_RETURN, _KILL),
        _make_instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        program += _return_unless(_HAS_BITS, _X32, _KILL)
    program += _return_unless(_AT_LEAST, _LATER_THAN_KNOWN, _REFUSE | errno.ENOSYS)
    for result, calls in ((_ALLOW, allowed), (_KILL, _FATAL), (_REFUSE | errno.ENOSYS, _ABSENT)):
        for number in _list_numbers(calls, column):
            program += _return_unless(_EQUALS, number, result)
    for checked in (*(_CHECKED_OF_WRITERS if allowance.writes else ()), *_CHECKED):  # the first one of a call decides
        if (its_number := checked.numbers[column]) is not None:
            block = list(_block(checked))
            program += [_make_instruction(_EQUALS, its_number, 0, len(block)), *block]
    return b"".join([*program, _make_instruction(_RETURN, _REFUSE | errno.EPERM)])


def _list_numbers(calls: Mapping[str, _Numbers], column: int) -> Collection[int]:
    return [numbers[column] for numbers in calls.values() if numbers[column] is not None]  # type: ignore[misc]


def _block(checked: _CheckedCall) -> Iterator[bytes]:
    """Instructions that end in a result for a call whose number has been recognised."""
    at = _ARGUMENTS + 8 * checked.argument
    if checked.is_pointer:
        yield _make_instruction(_LOAD, at + 4)
        yield _make_instruction(_EQUALS, 0, 1, 0)
        yield _make_instruction(_RETURN, _REFUSE | errno.EPERM)
    yield _make_instruction(_LOAD, at)
    if checked.flags:
        yield from _return_unless(_HAS_BITS, checked.flags, _ALLOW)
    if checked.bits:
        yield from _return_unless(_HAS_BITS, checked.bits, _REFUSE | errno.EPERM)
        yield _make_instruction(_RETURN, _ALLOW)
        return
    for value in checked.values:
        yield from _return_unless(_EQUALS, value, _ALLOW)
    yield _make_instruction(_RETURN, _REFUSE | errno.EPERM)


def _return_unless(comparison: int, value: int, result: int) -> list[bytes]:
    """Give *result* where the comparison holds, else go on."""
    return [_make_instruction(comparison, value, 0, 1), _make_instruction(_RETURN, result)]


def _make_instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
