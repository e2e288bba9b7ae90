"""The walls around a process that reads a stranger's file, put up before it sees the file."""

import os
import resource
import sys
import sysconfig
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from utils.sandbox import kernel, landlock, own_root, system_calls
from utils.sandbox.jobs import FILE_BYTES, SandboxJob

_ROOT = Path(__file__).parents[2]
_OPEN_FILES, _OPEN_FILES_OF_WRITERS = 64, 256
_CPU, _MEMORY = resource.RLIMIT_CPU, resource.RLIMIT_AS
# Packages of ours with code that such a process runs. Not the whole folder: .env and data/ are often in it.
_OUR_PACKAGES = ("ingestion", "providers", "utils")
# Libraries, time zones, the fonts of PDFs that bring none, and the kind of processor.
_SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"),
    *("/etc/localtime", "/usr/share/zoneinfo"),
    *("/usr/share/fonts", "/usr/share/X11/fonts", "/usr/local/share/fonts"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu"),
)
_OF_PROGRAMS = ("/usr/share", "/usr/local/share")  # their data, such as Tesseract's languages
_LOADERS = ("/lib/ld-*.so*", "/lib64/ld-*.so*", "/lib/*/ld-*.so*")  # execute every program
_PROGRAM_FOLDERS = ("/bin", "/usr/bin", "/usr/local/bin")


class Wall(StrEnum):
    """A wall, by the name it has in logs, `/health` and `validate.py`."""

    FILES = "files"
    CALLS = "system calls"
    PRIVILEGES = "privileges"
    LIMITS = "limits"
    MEMORY = "memory"


MEANING: Mapping[Wall, str] = {
    Wall.FILES: "A file that exploits its parser could read what this user can: keys, and other tenants' documents.",
    Wall.CALLS: "A file that exploits its parser could open connections, start programs and disturb the service.",
    Wall.PRIVILEGES: "A file that exploits its parser could use what root may do, or set-uid programs.",
    Wall.LIMITS: "A file could take all memory and all processor time of this machine.",
    Wall.MEMORY: "Other processes of this user can read a document while it is being parsed.",
}


REMEDY: Mapping[Wall, str] = {
    Wall.FILES: "Linux 5.13 or newer with Landlock has it, where no filter forbids the landlock_ system calls.",
    Wall.CALLS: "Linux on x86-64 or 64-bit ARM has it, where no filter forbids the system call seccomp.",
    Wall.PRIVILEGES: "Linux has it.",
    Wall.LIMITS: "Linux has it.",
    Wall.MEMORY: "Linux has it.",
}


@dataclass(frozen=True, slots=True)
class WallReport:
    """Which walls stand, and by which means; which are missing, and why."""

    standing: Mapping[Wall, str]
    missing: Mapping[Wall, str]

    def __str__(self) -> str:
        stand = ", ".join(f"{wall} ({means})" for wall, means in self.standing.items())
        lack = "; ".join(f"{wall}: {why}" for wall, why in self.missing.items())
        return f"{stand or 'none'}" + (f". Missing: {lack}" if lack else "")


@dataclass(frozen=True, slots=True)
class SandboxResources:
    """What the walls of a job's process are put up from, made before it begins: what takes time, for many at once.

    `ruleset` is Landlock's, or why there is none.
    """

    job: SandboxJob
    ruleset: landlock.Ruleset | OSError

    def close(self) -> None:
        """Let go of them, once the processes they were made for have begun."""
        if isinstance(self.ruleset, landlock.Ruleset):
            os.close(self.ruleset.descriptor)


def lay_grounds(job: SandboxJob) -> SandboxResources:
    """What the walls of processes like that of *job* are put up from."""
    system_calls.prepare_filter(_make_allowance(job))
    try:
        ruleset = landlock.make_ruleset(list_readable_paths(job), list_executable_paths(job), list_writable_paths(job))
    except OSError as exc:
        return SandboxResources(job, exc)
    return SandboxResources(job, ruleset)


class Walls:
    """The walls of one process. First `enclose`, then `seal`: between them the process may still make threads."""

    def __init__(self, grounds: SandboxResources) -> None:
        self._job, self._ruleset = grounds.job, grounds.ruleset
        self._standing: dict[Wall, str] = {}
        self._missing: dict[Wall, str] = {}

    def enclose(self) -> None:
        """Limit what this process, which has one thread, may use and read, and who may look into it."""
        self._put_up(Wall.LIMITS, lambda: _limit(self._job))
        self._put_up(Wall.PRIVILEGES, _forbid_new_privileges)
        self._put_up(Wall.FILES, self._hide_files)
        if Wall.PRIVILEGES in self._standing:
            self._put_up(Wall.PRIVILEGES, _drop_capabilities)
        self._put_up(Wall.MEMORY, _hide_memory)

    def seal(self) -> WallReport:
        """Forbid new threads, and every call that reading a file does not take; say how it stands."""
        if not self._job.writes:
            with suppress(OSError, ValueError):  # the next one forbids it as well
                resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        self._put_up(Wall.CALLS, self._forbid_calls)
        return WallReport({wall: self._standing[wall] for wall in Wall if wall in self._standing}, self._missing)

    def _put_up(self, wall: Wall, put_up: Callable[[], str]) -> None:
        """Go on without a wall that this system cannot put up: the others still stand."""
        try:
            self._standing[wall] = put_up()
        except (OSError, ValueError) as exc:
            self._standing.pop(wall, None)
            self._missing[wall] = getattr(exc, "strerror", None) or str(exc)

    def _hide_files(self) -> str:
        if isinstance(self._ruleset, landlock.Ruleset):
            landlock.restrict(self._ruleset)
            return f"Landlock, version {self._ruleset.version}"
        try:
            reads = [*list_readable_paths(self._job), *list_executable_paths(self._job)]
            own_root.enter(reads, list_writable_paths(self._job))
        except OSError as exc:
            reasons = f"No Landlock ({self._ruleset.strerror}), and no mount namespace ({exc.strerror})"
            raise OSError(reasons) from exc
        return "a mount namespace, for want of Landlock"

    def _forbid_calls(self) -> str:
        system_calls.forbid_calls(_make_allowance(self._job))
        return "seccomp"


def list_readable_paths(job: SandboxJob) -> list[Path]:
    """What the process of *job* may read: Python, its packages and ours, and what they take from the system."""
    scheme = sysconfig.get_paths()
    python = [scheme[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    packages = [path for path in sys.path if path and Path(path).resolve() != _ROOT]
    ours = [str(_ROOT / name) for name in _OUR_PACKAGES]
    libraries = (f"{sys.base_prefix}/lib", *_SYSTEM, *(_OF_PROGRAMS if job.program else ()))
    return [Path(path) for path in (*python, *packages, *ours, *libraries, *job.reads)]


def list_executable_paths(job: SandboxJob) -> list[Path]:
    """What the process of *job* may execute: its program, and what loads it.

    A program that is a script starts others, wherever they are kept; the walls hold for them as well.
    """
    if not job.program:
        return []
    program = Path(job.program[0])
    loaders = [path for pattern in _LOADERS for path in Path("/").glob(pattern.lstrip("/"))]
    return [program, *loaders, *(map(Path, _PROGRAM_FOLDERS) if _is_script(program) else ())]


def list_writable_paths(job: SandboxJob) -> list[Path]:
    """The folder in which the process of *job* may make files, where it has one."""
    return [Path(job.writes)] if job.writes else []


def _make_allowance(job: SandboxJob) -> system_calls.Allowance:
    """What *job* takes beside the calls of a parser."""
    return system_calls.Allowance(executes=bool(job.program), writes=bool(job.writes))


def _is_script(program: Path) -> bool:
    try:
        with program.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:  # not there: that is told when it is to be executed
        return False


def _limit(job: SandboxJob) -> str:
    """Limits that cannot be raised again; what nobody set stays as it is, for good too."""
    limits = {
        resource.RLIMIT_NOFILE: _OPEN_FILES_OF_WRITERS if job.writes else _OPEN_FILES,
        resource.RLIMIT_FSIZE: FILE_BYTES if job.writes else 0,
        resource.RLIMIT_CORE: 0,
    }
    others = {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")} - {_CPU, _MEMORY}
    for kind in others:
        soft, hard = resource.getrlimit(kind)
        value = _choose_smaller(limits.get(kind, soft), hard)
        resource.setrlimit(kind, (value, value))
    cpu_s = _choose_smaller(job.cpu_s + 1, resource.getrlimit(_CPU)[1]) - 1
    resource.setrlimit(_CPU, (cpu_s, cpu_s + 1))  # at the first a signal that tells why, at the second the end
    memory_bytes = _choose_smaller(job.memory_bytes, resource.getrlimit(_MEMORY)[1])
    resource.setrlimit(_MEMORY, (memory_bytes, memory_bytes))  # the last, since macOS has none
    return "resource limits that cannot be raised"


def _choose_smaller(limit: int, most: int) -> int:
    unlimited = resource.RLIM_INFINITY
    return most if limit == unlimited else limit if most == unlimited else min(limit, most)


def _forbid_new_privileges() -> str:
    kernel.forbid_new_privileges()
    return "no new privileges"


def _drop_capabilities() -> str:
    kernel.drop_capabilities()
    return "no capabilities, and no new privileges"


def _hide_memory() -> str:
    kernel.set_inspectable(False)
    return "closed to other processes"
