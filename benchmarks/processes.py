"""Programs that a benchmark starts, on free ports of the loopback, and how it waits for them."""

import json
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from utils.processes import Child, Command

ROOT = Path(__file__).resolve().parent.parent


def start(
    children: list[Child], folder: Path, name: str, argv: list[str], variables: dict[str, str] | None = None
) -> None:
    """Start Python with *argv*, add it to *children*; it logs to *folder*."""
    command = Command(
        name=name,
        argv=[sys.executable, *argv],
        cwd=folder,  # no `.env` of the developer's
        log_path=folder / f"{name}.log",
        variables={"PYTHONPATH": str(ROOT), **(variables or {})},
    )
    children.append(Child(command))


def wait_until_ready(child: Child, url: str, timeout_s: float) -> None:
    """Wait until *url* answers.

    Raises:
        RuntimeError: it does not; the message ends with what the program printed.
    """
    if not child.wait_until(lambda: answers(url), timeout_s):
        raise RuntimeError(f"{child.name} is not ready:\n{child.log()[-2000:]}")


def answers(url: str) -> bool:
    """Whether *url* answers with a success."""
    try:
        fetch(url)
    except (urllib.error.URLError, OSError):
        return False
    return True


def fetch(url: str, data: bytes | None = None, *, key: str = "") -> Any:
    """The JSON at *url*, by POST where there is *data*, with an API key where one is given."""
    request = urllib.request.Request(url, data, {"X-API-Key": key} if key else {})  # noqa: S310 - the loopback
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - as above
        return json.load(reply)


def free_ports(count: int) -> list[int]:
    """Ports nothing listens on."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
