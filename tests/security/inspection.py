"""Whether another process of its user may look into a process, as `python -m tests.security.inspection PID`."""

import ctypes
import subprocess
import sys
from errno import EFAULT, EPERM

from tests.service import ROOT
from utils.sandbox.kernel import call_function

_VERSION_3 = 0x20080522  # capset(2)
_SYS_PTRACE = 1 << 19  # what root may beyond others: look into every process


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def can_be_inspected(pid: int) -> bool:
    """Whether a process of our user, without the right to look into all of them, may read the memory of *pid*."""
    command = [sys.executable, "-m", "tests.security.inspection", str(pid)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout == "allowed\n"


def main() -> None:
    """Try it, and say what came of it."""
    sets = (_Sets * 2)()
    header = _Header(_VERSION_3, 0)
    call_function("capget", ctypes.byref(header), ctypes.byref(sets))
    sets[0].effective &= ~_SYS_PTRACE
    call_function("capset", ctypes.byref(header), ctypes.byref(sets))
    here, there = _Vector(ctypes.addressof(sets), 1), _Vector(8, 1)  # nothing is at address 8
    one = ctypes.c_ulong(1)
    try:
        call_function(
            "process_vm_readv", int(sys.argv[1]), ctypes.byref(here), one, ctypes.byref(there), one, ctypes.c_ulong(0)
        )
    except OSError as exc:
        print({EFAULT: "allowed", EPERM: "refused"}.get(exc.errno or 0, exc))


if __name__ == "__main__":
    main()
