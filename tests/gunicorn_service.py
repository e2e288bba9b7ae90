"""The service under gunicorn, by `gunicorn.conf.py`, as a process of its own."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

import httpx

from tests.service import ROOT, TRUST, Service

KEY = "a-key-of-the-default-tenant"
QUESTION = "How much does a dormitory room cost?"  # which a `Listener` asks
START = ["-m", "gunicorn"]


class GunicornService(Service):
    """`gunicorn -c gunicorn.conf.py` with further *arguments*, in an empty folder unless *cwd* is given."""

    def __init__(
        self, data_dir: Path, *arguments: str, code: Path = ROOT, cwd: Path | None = None, **variables: str
    ) -> None:
        super().__init__(data_dir, **{"API_KEY": KEY, "RATE_LIMIT_ENABLED": "false", **variables})
        self._command = [*START, "-c", str(code / "gunicorn.conf.py"), *arguments] if cwd is None else START
        self.cwd = cwd or self._nowhere
        self.preloaded = self.preloaded and code == ROOT and cwd is None

    def launch(self) -> None:
        """Start it without waiting."""
        with self._out.open("ab") as out, self._log.open("ab") as log:
            self._process = self._start_program(self._command, out, log, self.cwd)

    def start(self) -> Self:
        """Start it and wait until it takes requests."""
        self.launch()
        self.wait_for(self.is_ready)
        return self

    def is_ready(self) -> bool:
        """Whether a load balancer would send requests here."""
        try:
            return httpx.get(f"{self.url}/ready", trust_env=False, verify=TRUST, timeout=5).is_success
        except httpx.TransportError:
            return False

    def lines(self) -> list[dict[str, Any]]:
        """All it has written, to both streams; each line must be a JSON object."""
        return [json.loads(line) for line in (self.printed() + self.logged()).splitlines()]

    def says(self, text: str) -> bool:
        """Whether a line holds *text*."""
        return text in self.logged()

    def workers(self) -> list[int]:
        """The processes of its workers, as they are now, oldest first."""
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return sorted(int(pid) for pid in listed.stdout.split())


class Listener(threading.Thread):
    """Reads the streamed answer to one question in a thread of its own."""

    def __init__(self, service: Service, conversation_id: str) -> None:
        super().__init__()
        self.events: list[str] = []
        self.failure: Exception | None = None
        self._service, self._talk = service, conversation_id

    def run(self) -> None:
        """Read to the end."""
        headers = {"X-Conversation-Id": self._talk, "Accept": "text/event-stream"}
        question = {"message": QUESTION}
        try:
            with (
                self._service.client(KEY, **headers) as client,
                client.stream("POST", "/v1/chat", json=question) as answer,
            ):
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        self.events.append(line.removeprefix("event: "))
        except httpx.HTTPError as exc:
            self.failure = exc
