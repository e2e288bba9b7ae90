"""What the bridge costs above Starlette: one worker of each, the same routes, the same client, in one run.

Starlette is there twice: as it comes, which is what the bars are about, and with our service's settings of the garbage
collector, which anyone could give it, too.

    python -m benchmarks.serving_bridge

Prints each measure with its bar and exits with 1 if one is missed or a request failed; the figures go to
`benchmarks/results/serving_bridge.json`. The client is this process, the servers are others; processor time is theirs.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import cpu_s, describe_machine, resident_mb, running_ns
from benchmarks.serving_bridge_apps import API_KEY, TOKENS
from benchmarks.visitors import percentile
from bootstrap.valkey import find_valkey
from utils.processes import reserve_port

_RESULTS = Path(__file__).parent / "results" / "serving_bridge.json"
_CONNECTIONS, _STREAMS, _IN_FLIGHT, _POOL, _BATCH, _BLOCKING = 32, 200, 1000, 32, 10, 100
_REPEATED = 32
_HEADERS = f"X-API-Key: {API_KEY}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is measured."""

    name: str
    port: int
    pid: int

    @property
    def threads(self) -> int:
        """How many it has now."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


@dataclass
class Report:
    """Figures, and the bars they missed."""

    figures: dict[str, Any] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def note(self, name: str, value: float, *, least: float | None = None, most: float | None = None) -> None:
        """Keep a figure, print it, and remember if it misses its bar."""
        holds = (least is None or value >= least) and (most is None or value <= most)
        bar = f"≥ {least:g}" if least is not None else f"≤ {most:g}" if most is not None else ""
        bar = f"= {most:g}" if least is not None and least == most else bar
        print(f"{name:48} {value:10.2f}  {bar:9} {'' if holds else 'MISSED'}", flush=True)
        self.figures[name] = {"value": round(value, 3), **({"bar": bar} if bar else {})}
        if not holds:
            self.missed.append(name)


class Client:
    """One kept-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def ask(self, path: str, *headers: str) -> None:
        """Send a GET."""
        self.writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())

    async def head(self) -> bytes:
        """The next answer's head.

        Raises:
            AssertionError: it is not a 200.
        """
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head[:200]
        return head.lower()

    async def answer(self) -> bytes:
        """The next answer's body."""
        head = await self.head()
        return await self.reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n", 1)[0]))

    async def chunk(self) -> bytes:
        """The next chunk of a stream, empty at its end."""
        size = int(await self.reader.readline(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]


@asynccontextmanager
async def connected(server: Server, count: int) -> AsyncIterator[list[Client]]:
    """So many connections."""
    made = [Client(*await asyncio.open_connection("127.0.0.1", server.port)) for _ in range(count)]
    try:
        yield made
    finally:
        for client in made:
            client.writer.close()


async def cpu_us_in_turns(routes: dict[str, tuple[Server, str]], rounds: int) -> dict[str, list[float]]:
    """Server's processor time for a request to each route, by name, in rounds of a tenth of a second each.

    So short, that the processor is as quick for all in one round, whoever else has a part of it.
    """
    found: dict[str, list[float]] = {name: [] for name in routes}
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(connected(server, _CONNECTIONS))
            for name, (server, _) in routes.items()
        }
        for number in range(rounds + 1):
            for name, (server, path) in routes.items():
                before_ns = running_ns(server.pid)
                await asyncio.gather(*(_repeat(client, path, _REPEATED) for client in clients[name]))
                if number:  # the first one is for warming up
                    found[name].append((running_ns(server.pid) - before_ns) / 1000 / (_CONNECTIONS * _REPEATED))
    return found


async def _repeat(client: Client, path: str, times: int) -> None:
    for _ in range(times):
        client.ask(path, _HEADERS)
        await client.answer()


def in_pairs(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of how often one of *others* goes into the one of *ones* of the same round."""
    return median(one / other for one, other in zip(ones, others, strict=True))


@dataclass(frozen=True, slots=True)
class InFlight:
    cpu_us: float
    kb_each: float
    added_p95_ms: float


async def threads_under_load(server: Server, slow_s: float) -> int:
    """How many there are with 1000 requests in flight and as many as wait in line for the pool's threads."""
    async with connected(server, _IN_FLIGHT) as waiting, connected(server, _BLOCKING) as blocking:
        for client in waiting:
            client.ask("/slow")
        for client in blocking:
            client.ask("/blocking")
        await asyncio.sleep(slow_s * 0.25)
        threads = server.threads
        await asyncio.gather(*(client.answer() for client in (*waiting, *blocking)))
    return threads


async def slow_requests(server: Server, slow_s: float) -> InFlight:
    """1000 requests at once to an endpoint that takes 2 s."""
    before_mb, before_s, took_ms = resident_mb([server.pid]), cpu_s([server.pid]), list[float]()

    async def one(client: Client) -> None:
        began_s = time.perf_counter()
        client.ask("/slow")
        await client.answer()
        took_ms.append((time.perf_counter() - began_s - slow_s) * 1000)

    async with connected(server, _IN_FLIGHT) as clients:
        asking = asyncio.gather(*(one(client) for client in clients))
        await asyncio.sleep(slow_s * 0.8)
        kb_each = (resident_mb([server.pid]) - before_mb) * 1000 / _IN_FLIGHT
        await asking
    return InFlight((cpu_s([server.pid]) - before_s) / _IN_FLIGHT * 1e6, kb_each, percentile(took_ms, 95))


async def streams(server: Server) -> tuple[float, float]:
    """Processor µs a token, and p95 of the gap between two in ms, at 200 streams."""
    gaps_ms: list[float] = []

    async def one(client: Client) -> None:
        client.ask("/stream")
        await client.head()
        await client.chunk()
        last_s, count = time.perf_counter(), 1
        while await client.chunk():
            now_s = time.perf_counter()
            gaps_ms.append((now_s - last_s) * 1000)
            last_s, count = now_s, count + 1
        assert count == TOKENS, f"{count} tokens"

    async with connected(server, _STREAMS) as clients:
        before_s = cpu_s([server.pid])
        await asyncio.gather(*(one(client) for client in clients))
        spent_s = cpu_s([server.pid]) - before_s
    return spent_s / (_STREAMS * TOKENS) * 1e6, percentile(gaps_ms, 95)


async def slowest_closing_ms(server: Server, times: int = 20) -> float:
    """The longest it took from a client's leaving to the end of its generator."""
    worst_ms = 0.0
    async with connected(server, 1) as (asking,):
        for number in range(times):
            async with connected(server, 1) as (leaving,):
                leaving.ask("/idle")
                await leaving.head()
                await leaving.chunk()
                left_s = time.monotonic()
            closed: list[float] = []
            while len(closed) <= number:
                asking.ask("/closed")
                closed = json.loads(await asking.answer())
            worst_ms = max(worst_ms, (closed[number] - left_s) * 1000)
    return worst_ms


async def leaks(server: Server, requests: int) -> int:
    """How many of so many pipelined requests on kept-alive connections saw something of another.

    Raises:
        AssertionError: one failed.
    """

    async def one(number: int, client: Client) -> int:
        found = 0
        for batch in range(requests // _BATCH // _CONNECTIONS):
            marks = [f"{number}-{batch}-{i}" for i in range(_BATCH)]
            for mark in marks:
                client.ask("/leaks", f"X-Token: {mark}")
            found += sum([json.loads(await client.answer()) != [mark] for mark in marks])
        return found

    async with connected(server, _CONNECTIONS) as clients:
        return sum(await asyncio.gather(*(one(number, client) for number, client in enumerate(clients))))


async def measure(servers: dict[str, Server], report: Report, requests: int) -> None:
    """Everything, floor and bridge in turns."""
    floor, bridge = servers["starlette"], servers["bridge"]
    before = {name: server.threads for name, server in servers.items()}  # of libuv and others, not ours
    await cpu_us_in_turns({name: (server, "/plain") for name, server in servers.items()}, 1)
    await _compare_slow(servers, report)
    threads = await threads_under_load(bridge, 2.0) - before["bridge"]
    report.note("threads more, 1000 in flight, pool in use", threads, least=_POOL, most=_POOL)
    routes = {name: (server, "/plain") for name, server in servers.items()}
    plain = await cpu_us_in_turns(routes | {"guarded": (servers["edge"], "/guarded")}, 40)
    cost = {name: median(values) for name, values in plain.items()}
    report.note("JSON, Starlette as it comes, CPU µs a request", cost["starlette"])
    report.note("JSON, Starlette, our collector, CPU µs", cost["starlette-tuned"])
    report.note("JSON, bridge, CPU µs a request", cost["bridge"])
    report.note("JSON, throughput per CPU second, ratio", in_pairs(plain["starlette"], plain["bridge"]), least=0.4)
    report.note("… to Starlette with our collector", in_pairs(plain["starlette-tuned"], plain["bridge"]))
    report.note("… with ids, log line, headers, CORS, CPU µs", cost["edge"])
    report.note("… and key and rate limit, CPU µs", cost["guarded"], most=600)
    await _compare_streams(floor, bridge, report)
    report.note("generator closed after its client left, ms", await slowest_closing_ms(bridge), most=100)
    report.note(f"leaks in {requests} pipelined requests", await leaks(bridge, requests), most=0)


async def _compare_slow(servers: dict[str, Server], report: Report) -> None:
    names = ("starlette", "starlette-tuned", "bridge")
    rounds = [{name: await slow_requests(servers[name], 2.0) for name in names} for _ in range(3)]
    cpu_us = {name: median(measured[name].cpu_us for measured in rounds) for name in names}
    added_ms = {name: median(measured[name].added_p95_ms for measured in rounds) for name in names}
    kb_each = {name: rounds[0][name].kb_each for name in names}  # later rounds find the memory at hand
    report.note("2 s, 1000 at once, Starlette as it comes, CPU µs", cpu_us["starlette"])
    report.note("2 s, 1000 at once, Starlette, our collector", cpu_us["starlette-tuned"])
    report.note("2 s, 1000 at once, bridge, CPU µs", cpu_us["bridge"])
    report.note("2 s, 1000 at once, CPU ratio", cpu_us["bridge"] / cpu_us["starlette"], most=1.7)
    report.note("… to Starlette with our collector", cpu_us["bridge"] / cpu_us["starlette-tuned"])
    report.note("2 s, added p95, Starlette, ms", added_ms["starlette"])
    report.note("2 s, added p95, bridge, ms", added_ms["bridge"])
    report.note("in flight, Starlette, KB each", kb_each["starlette"])
    report.note("in flight, bridge, KB each", kb_each["bridge"], most=20)


async def _compare_streams(floor: Server, bridge: Server, report: Report) -> None:
    rounds = [(await streams(floor), await streams(bridge)) for _ in range(3)]
    for index, name, most in ((0, "CPU µs a token", 1.2), (1, "gap p95 ms", 1.25)):
        bare, ours = (median(measured[which][index] for measured in rounds) for which in (0, 1))
        report.note(f"200 streams, Starlette, {name}", bare)
        report.note(f"200 streams, bridge, {name}", ours)
        report.note(f"200 streams, {name}, ratio", ours / bare, most=most)


@contextmanager
def started(folder: Path) -> Iterator[dict[str, Server]]:
    """The servers, and a Valkey for the one that counts requests."""
    with ExitStack() as stack:

        def start(argv: list[str], log: str) -> int:
            out = stack.enter_context((folder / log).open("wb"))
            process = subprocess.Popen(argv, stdout=out, stderr=out)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            return process.pid

        socket = folder / "valkey.sock"
        start([str(find_valkey()), "--port", "0", "--unixsocket", str(socket), "--save", ""], "valkey.log")
        _wait(socket.exists)
        servers = {}
        for name in ("starlette", "starlette-tuned", "bridge", "edge"):
            with reserve_port("127.0.0.1", 0, variable="PORT") as listener:
                port = listener.getsockname()[1]
            module = [sys.executable, "-m", "benchmarks.serving_bridge_apps", name, "--port", str(port)]
            servers[name] = Server(name, port, start([*module, "--redis-url", f"unix://{socket}"], f"{name}.log"))
            _wait(lambda port=port: asyncio.run(_listens(port)))  # type: ignore[misc] # the default is the port
        yield servers


def _wait(condition: Callable[[], bool], limit_s: float = 30) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, "a server did not start"
        time.sleep(0.05)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def main() -> int:
    """Measure, print and keep; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description="What the bridge costs above Starlette.")
    parser.add_argument("--requests", type=int, default=100_000, help="pipelined requests that are looked at for leaks")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    args = parser.parse_args()
    report, machine = Report(), describe_machine()
    with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as made, started(Path(made)) as servers:
        asyncio.run(measure(servers, report, args.requests))
    told = {"machine": machine, "figures": report.figures, "missed": report.missed}
    args.out.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
