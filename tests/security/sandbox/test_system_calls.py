"""The filter of system calls, read as the kernel reads it, on both kinds of processor; its numbers are the kernel's."""

import platform
import re
import struct
from errno import ENOSYS, EPERM
from pathlib import Path

import pytest

from tests.programs import not_installed
from utils.sandbox import system_calls
from utils.sandbox.system_calls import Allowance, compile_filter

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Where Linux's headers say which number a call has.
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOWED, KILLED = "allowed", "killed"
PID = 4711
PLAIN = Allowance()


def judge(
    machine: str, number: int, *arguments: int, architecture: int | None = None, allowance: Allowance = PLAIN
) -> object:
    """What the filter makes of a call: `ALLOWED`, `KILLED`, or the number of the error (linux/filter.h)."""
    data = struct.pack("=iIQ6Q", number, architecture or ARCHITECTURES[machine], 0, *(*arguments, *[0] * 6)[:6])
    program = list(struct.iter_unpack("=HBBI", compile_filter(machine, PID, allowance)))
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return {0x7FFF0000: ALLOWED, 0x80000000: KILLED}.get(value, value & 0xFFFF)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += if_true if holds else if_false


# Of each call, on x86-64 and on 64-bit ARM; one that ARM has not stands for one that does the same there.
NUMBERS = {
    "read": (0, 63), "socket": (41, 198), "connect": (42, 203), "execve": (59, 221), "execveat": (322, 281),
    "fork": (57, 220), "clone": (56, 220), "clone3": (435, 435), "ptrace": (101, 117), "setrlimit": (160, 164),
    "prlimit64": (302, 261), "openat": (257, 56), "kill": (62, 129), "tgkill": (234, 131), "fcntl": (72, 25),
    "ioctl": (16, 29), "prctl": (157, 167), "unlink": (87, 35), "io_uring_setup": (425, 425), "seccomp": (317, 277),
    "memfd_create": (319, 279), "process_vm_readv": (310, 270), "unshare": (272, 97),
}  # fmt: skip


def number(machine: str, name: str) -> int:
    return NUMBERS[name][list(ARCHITECTURES).index(machine)]


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_a_parser_needs_is_allowed_and_the_rest_refused_or_fatal(machine: str) -> None:
    def outcome(name: str, *arguments: int) -> object:
        return judge(machine, number(machine, name), *arguments)

    assert outcome("read") == ALLOWED
    refused = (
        "socket",
        "connect",
        "execve",
        "execveat",
        "fork",
        "clone",
        "setrlimit",
        "unlink",
        "memfd_create",
        "seccomp",
    )
    assert {outcome(name) for name in refused} == {EPERM}
    assert {outcome(name) for name in ("ptrace", "process_vm_readv", "unshare", "io_uring_setup")} == {KILLED}
    assert outcome("clone3") == ENOSYS
    assert judge(machine, 469) == EPERM
    assert judge(machine, 600) == ENOSYS


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_arguments_are_looked_at(machine: str) -> None:
    def outcome(name: str, *arguments: int) -> object:
        return judge(machine, number(machine, name), *arguments)

    assert outcome("openat", 0, 0, 0o2000000) == ALLOWED  # to read, closed when another program begins
    assert {outcome("openat", 0, 0, flags) for flags in (1, 2, 0o100, 0o1000, 0o20200002)} == {EPERM}
    assert outcome("prlimit64", 0, 7, 0, 1 << 40) == ALLOWED
    assert {outcome("prlimit64", 0, 7, new) for new in (1 << 40, 1)} == {EPERM}
    assert (outcome("kill", PID, 6), outcome("tgkill", PID, PID, 6)) == (ALLOWED, ALLOWED)
    assert {outcome("kill", pid, 9) for pid in (0, 1, PID - 1, 2**32 - 1)} == {EPERM}
    assert (outcome("fcntl", 3, 3), outcome("fcntl", 3, 8)) == (ALLOWED, EPERM)  # F_GETFL, F_SETOWN
    assert (outcome("ioctl", 0, 0x5401), outcome("ioctl", 0, 0x5412)) == (ALLOWED, EPERM)  # TCGETS, TIOCSTI
    assert (outcome("prctl", 15), outcome("prctl", 1), outcome("prctl", 22)) == (ALLOWED, EPERM, EPERM)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_kind_of_processor_are_fatal(machine: str) -> None:
    others = [architecture for name, architecture in ARCHITECTURES.items() if name != machine] + [
        0x40000003,
        0x40000028,
    ]
    assert {judge(machine, number(machine, "read"), architecture=other) for other in others} == {KILLED}


def test_the_variant_of_x86_with_short_pointers_is_fatal() -> None:
    assert judge("x86_64", 0x40000000 | 520) == KILLED  # execve


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_program_may_be_executed_where_there_is_to_be_one(machine: str) -> None:
    program = Allowance(executes=True)
    assert judge(machine, number(machine, "execve"), allowance=program) == ALLOWED
    assert judge(machine, number(machine, "execveat"), allowance=program) == EPERM
    assert judge(machine, number(machine, "clone"), allowance=program) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_files_and_threads_may_be_made_where_there_is_a_folder_for_them_and_no_processes(machine: str) -> None:
    def outcome(name: str, *arguments: int) -> object:
        return judge(machine, number(machine, name), *arguments, allowance=Allowance(writes=True))

    assert {outcome("openat", 0, 0, flags) for flags in (0, 1, 2, 0o102, 0o1001)} == {ALLOWED}
    assert outcome("openat", 0, 0, 0o1000) == EPERM  # cut off what is opened to be read
    assert (outcome("unlink"), outcome("fcntl", 3, 6), outcome("fcntl", 3, 8)) == (ALLOWED, ALLOWED, EPERM)
    thread, fork, vfork = 0x3D0F00, 0x1200011, 0x4111
    assert (outcome("clone", thread), outcome("clone", fork), outcome("clone", vfork)) == (ALLOWED, EPERM, EPERM)
    assert {outcome(name) for name in ("socket", "connect", "execve", "setrlimit", "memfd_create")} == {EPERM}
    assert {outcome(name) for name in ("ptrace", "unshare", "io_uring_setup")} == {KILLED}


@pytest.mark.parametrize(("column", "machine"), list(enumerate(ARCHITECTURES)))
def test_the_numbers_are_those_of_the_kernels_headers(column: int, machine: str) -> None:
    if machine == "x86_64" != platform.machine():
        pytest.skip("The headers for x86-64 are on such machines alone.")
    if not HEADERS[machine].is_file():
        not_installed("linux-libc-dev")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text(), re.MULTILINE)
    known = {name: int(value) for name, value in found}
    allowed = (system_calls._ALLOWED, system_calls._OF_PROGRAMS, system_calls._OF_WRITERS)
    tables = (*allowed, system_calls._FATAL, system_calls._ABSENT)
    ours = {
        name: value for calls in tables for name, numbers in calls.items() if (value := numbers[column]) is not None
    }
    assert {name: value for name, value in ours.items() if known.get(name, value) != value} == {}
    assert ours.keys() - known.keys() <= {"newfstatat"}  # which the headers for ARM call otherwise
