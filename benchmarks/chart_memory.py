"""What drawing charts fills: the process that is forked for each, the one it is forked from, and the one that asks."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.machine import children_of, process_tree, resident_mb
from datasources.charts.choosing import choose_chart
from datasources.charts.spec import make_spec
from datasources.charts.values import MAX_POINTS
from datasources.results import Result
from providers.charts.renderer import ChartRenderer
from utils.errors import NotReady
from utils.sandbox.sandbox import Sandbox

LIMIT_MB = 1_000  # of what a process may fill, see `providers/charts/drawing.py`; what it shares comes on top
_CHARTS, _LOOK_S, _MAX_STAYING_MB, _SHARED_MB = 100, 0.005, 25.0, 150
_PEAK = re.compile(r"^VmHWM:\s*(\d+)", re.MULTILINE)
_RESULT = Result("", ("status", "n"), (("Active", 42), ("Stopped", 6), ("Maintenance", 12)), False)
_MANY = Result("", ("x", "y"), tuple((at, at * 37 % 501) for at in range(MAX_POINTS)), False)
_WORDS = "w" * 700
_LARGE: dict[
    str, dict[str, Any]
] = {  # within what is looked at before a process is started, each in its own way at the end of it
    "500 points": {},
    "a canvas of 2000 x 2000": {"width": 2_000, "height": 2_000},
    "500 labels of 700 characters": {
        "data": {"values": [{"x": f"{_WORDS}{at}", "y": at} for at in range(500)]},
        "mark": "bar",
        "encoding": {"x": {"field": "x"}, "y": {"field": "y", "type": "quantitative"}},
    },
    "500 texts of 100 million characters": {
        "transform": [{"calculate": "pad(datum.x, 100000000, 'x')", "as": "y"}],
    },
    "a hundred million numbers": {
        "transform": [{"calculate": "sequence(100000000)", "as": "z"}, {"flatten": ["z"]}],
    },
    "an expression without an end": {
        "transform": [{"calculate": "test(/^(a+)+$/, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')", "as": "y"}]
    },
}


class PeakWatch:
    """Watches the processes below the fork server while entered: `peak_mb` is the most that one of them has held."""

    def __init__(self) -> None:
        self.peak_mb = 0.0

    async def __aenter__(self) -> "PeakWatch":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _watch(self) -> None:
        while True:
            for server in find_fork_servers():
                for pid in process_tree(server)[1:]:
                    self.peak_mb = max(self.peak_mb, _read_peak_mb(pid))
            await asyncio.sleep(_LOOK_S)


def find_fork_servers() -> list[int]:
    """Those that this process has started."""
    return children_of(os.getpid())


def _read_peak_mb(pid: int) -> float:
    try:
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _describe_now() -> dict[str, float]:
    """What the processes hold that stay."""
    return {
        "asks_mb": round(resident_mb([os.getpid()]), 1),
        "fork_server_mb": round(resident_mb(find_fork_servers()), 1),
    }


def _number(at: int) -> dict[str, Any]:
    """A chart that was not drawn before."""
    return make_spec(choose_chart(_RESULT, title=f"Machines for each status, {at}"), _RESULT).spec


async def measure_charts() -> dict[str, Any]:
    """Resident memory at the start, after one chart and after a hundred, and of specs that want much."""
    with Sandbox() as sandbox:
        renderer = ChartRenderer(sandbox.start)
        sandbox.find_walls()  # the fork server is there now
        found: dict[str, Any] = {"limit_mb": LIMIT_MB, "limit_cpu_s": 10, "start": _describe_now()}
        began = time.perf_counter()
        async with PeakWatch() as watch:
            await renderer.draw(_number(0))
        found["after 1"] = {**_describe_now(), "drawing_mb": round(watch.peak_mb, 1)}
        async with PeakWatch() as watch:
            await asyncio.gather(*(renderer.draw(_number(at)) for at in range(1, _CHARTS)))
        found[f"after {_CHARTS}"] = {**_describe_now(), "drawing_mb": round(watch.peak_mb, 1)}
        found["seconds_a_chart"] = round((time.perf_counter() - began) / _CHARTS, 2)
        found["hostile"] = {name: await _try(renderer, changes) for name, changes in _LARGE.items()}
        found["after all"] = _describe_now()
    return {**found, "broken": _judge(found)}


async def _try(renderer: ChartRenderer, changes: Mapping[str, Any]) -> dict[str, Any]:
    spec, began = {**make_spec(choose_chart(_MANY), _MANY).spec, **changes}, time.perf_counter()
    async with PeakWatch() as watch:
        try:
            outcome = f"a picture of {len(await renderer.draw(spec)):,} bytes"
        except NotReady as exc:
            outcome = f"refused: {exc.detail}"
    return {"drawing_mb": round(watch.peak_mb, 1), "seconds": round(time.perf_counter() - began, 1), "came_to": outcome}


def _judge(found: Mapping[str, Any]) -> list[str]:
    """The claims about memory that do not hold."""
    broken = []
    for name in ("asks_mb", "fork_server_mb"):
        stays = found[f"after {_CHARTS}"][name] - found["after 1"][name]
        if stays > _MAX_STAYING_MB:
            broken.append(f"{name}: {stays:.1f} MB more after {_CHARTS} charts than after one")
    for name, row in found["hostile"].items():
        if row["drawing_mb"] > LIMIT_MB + _SHARED_MB:
            broken.append(f"{name}: {row['drawing_mb']} MB")
    return broken
