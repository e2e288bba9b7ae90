"""Asks an address again and again, in a process of its own: `python -m benchmarks.probe URL` until SIGTERM.

Within the process that sends the load, the load's own work would count as the server's delay. Prints the times in
milliseconds as a JSON list; a request that failed counts as infinite.
"""

import asyncio
import http.client
import json
import signal
import sys
import time
from urllib.parse import urlsplit

EVERY_S = 0.02
REQUESTS_A_CONNECTION = 20


class Probe:
    """A probe of *url* while entered; `samples_ms` afterwards."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.samples_ms: list[float] = []

    async def __aenter__(self) -> "Probe":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.probe", self._url, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()  # it has begun
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._process.terminate()
        printed, _ = await self._process.communicate()
        self.samples_ms = json.loads(printed)


def sample(url: str) -> list[float]:
    """The times until SIGTERM."""
    asked, going = urlsplit(url), True

    def stop(*_: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    connection, samples = http.client.HTTPConnection(asked.netloc, timeout=30), list[float]()
    print("begun", flush=True)
    while going:
        began = time.perf_counter()
        if len(samples) % REQUESTS_A_CONNECTION == 0:
            connection.close()  # the next one may be another worker's
        connection.request("GET", asked.path)
        reply = connection.getresponse()
        reply.read()
        samples.append(round((time.perf_counter() - began) * 1000, 3) if reply.status == 200 else float("inf"))
        time.sleep(EVERY_S)
    return samples


if __name__ == "__main__":
    print(json.dumps(sample(sys.argv[1])))
