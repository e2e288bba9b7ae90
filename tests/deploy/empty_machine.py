"""A machine to install on: `python -m tests.deploy.empty_machine FOLDER` runs FOLDER/script.sh there, as root.

It is this one, copied on write: what is changed goes to memory, and everything that was started ends with the process.
Its network is its own, so every port is free. To be run by `unshare --mount --net --pid --fork --kill-child`.
"""

import fcntl
import os
import shlex
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("apt-get", "certbot", "git", "systemctl")
_STAND_INS = Path("/usr/local/lib/stand-ins")
_UP = 0x1 | 0x40  # IFF_UP, IFF_RUNNING


def main(folder: Path) -> int:
    """Make it, run the script, and give its exit code."""
    os.umask(0o022)
    base = folder / "machine"
    base.mkdir()
    machine = _mount(base, folder)
    _use_loopback()
    os.chroot(machine)
    os.chdir("/")
    for path in (ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()):
        for parent in (path, *path.parents):  # the service's user has to reach the interpreter and its packages
            parent.chmod(parent.stat().st_mode | 0o055)
    _STAND_INS.mkdir(parents=True)
    for name in PROGRAMS:
        program = _STAND_INS / name
        program.write_text(f"#!{sys.executable}\n{(ROOT / 'tests/deploy/machine_stand_ins.py').read_text()}")
        program.chmod(0o755)
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write("127.0.0.1 chat.example.org\n")
    variables = {
        **{"PATH": f"{_STAND_INS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        **{"SOURCES": str(ROOT), "VENV": str(Path(sys.prefix).resolve()), "TOLD": "/mnt", "LANG": "C.UTF-8"},
    }
    os.chdir("/root")
    # As root's shell has it where a machine was hardened.
    return subprocess.run(["/bin/bash", "/mnt/script.sh"], env=variables, umask=0o077, check=False).returncode


def _mount(base: Path, folder: Path) -> Path:
    """This machine's files copied on write, with *folder* as its /mnt."""
    _run(f"mount --make-rprivate / && mount -t tmpfs -o size=2g machine {base}")
    for name in ("upper", "work", "root"):
        (base / name).mkdir()
    root = base / "root"
    _run(f"mount -t overlay -o lowerdir=/,upperdir={base / 'upper'},workdir={base / 'work'} machine {root}")
    # As ProtectProc=invisible of the units has it.
    _run(
        f"mount -t proc -o hidepid=2 proc {root}/proc && mount --rbind /dev {root}/dev && mount -t sysfs sys {root}/sys"
    )
    for own in ("tmp", "run"):
        _run(f"mount -t tmpfs -o mode={'1777' if own == 'tmp' else '755'} {own} {root}/{own}")
    # Where these are file systems of their own the copy does not hold them.
    for path in {ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:
        if (
            not (root / path.relative_to("/") / "bin").exists()
            and not (root / path.relative_to("/") / "app.py").exists()
        ):
            (root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
            _run(f"mount --bind {shlex.quote(str(path))} {root}{path}")
    _run(f"mount --bind {shlex.quote(str(folder))} {root}/mnt")
    return root


def _use_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", _UP))  # SIOCSIFFLAGS


def _run(command: str) -> None:
    subprocess.run(["/bin/sh", "-c", command], check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
