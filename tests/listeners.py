"""Where the processes of a service listen, as the kernel tells it."""

import ipaddress
import os
import subprocess
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"  # TCP_LISTEN, include/net/tcp_states.h
_ACCEPTS = 1 << 16  # __SO_ACCEPTCON, include/uapi/linux/net.h


def process_tree(pid: int) -> set[int]:
    """*pid* and all processes below it."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def tcp_listeners(pid: int) -> set[tuple[str, int]]:
    """Addresses and ports on which *pid* and the processes below it take TCP connections."""
    ours = _sockets_of(process_tree(pid))
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and fields[9] in ours:
                address, port = fields[1].split(":")
                found.add((_address(address), int(port, 16)))
    return found


def unix_listeners(pid: int) -> set[str]:
    """Paths of the unix sockets on which they take connections; one without a file begins with @."""
    ours = _sockets_of(process_tree(pid))
    lines = (line.split(maxsplit=7) for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {fields[7] for fields in lines if len(fields) == 8 and fields[6] in ours and int(fields[3], 16) & _ACCEPTS}


def umask_of(pid: int) -> str:
    """Its umask, in octal; "" when it has ended."""
    with suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return line.split()[1]
    return ""


def _sockets_of(pids: set[int]) -> set[str]:
    found = set()
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    target = os.readlink(descriptor.path)
                    if target.startswith("socket:["):
                        found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found


def _address(hexadecimal: str) -> str:
    # Words of 32 bits, each in the byte order of the machine.
    words = bytes.fromhex(hexadecimal)
    turned = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return str(ipaddress.ip_address(turned))
