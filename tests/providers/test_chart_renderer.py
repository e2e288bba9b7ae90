"""Pictures of charts: drawn in the sandbox, and whatever a spec holds, nothing is fetched and nothing grows."""

import io
import socket
from typing import Any

import pytest
from PIL import Image

from datasources.charts.choosing import choose_chart
from datasources.charts.spec import make_spec
from datasources.results import Result
from providers.charts.renderer import ChartRenderer
from tests.reading import SANDBOX
from utils.errors import NotReady
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import SandboxedProcess

RESULT = Result("", ("status", "n"), (("Active ñ", 42), ("Stopped", 6)), False)
SPEC = make_spec(choose_chart(RESULT, title="Machines"), RESULT).spec


@pytest.fixture
def renderer() -> ChartRenderer:
    return ChartRenderer(SANDBOX.start, deadline_s=4.0)


async def test_a_chart_is_drawn_as_png(renderer: ChartRenderer) -> None:
    picture = Image.open(io.BytesIO(await renderer.draw(SPEC)))
    assert picture.format == "PNG"
    assert 1_120 < picture.width < 1_400
    assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 10


@pytest.mark.parametrize(
    "large",
    [
        {"width": 100_000, "height": 100_000},
        {"height": {"step": 1e9}},
        {"data": {"values": [{"x": "a" * 600_000, "y": 1}]}},
        {"data": {"sequence": {"start": 0, "stop": 300_000_000, "as": "y"}}},
        {"data": {"url": "file:///etc/passwd"}},
    ],
    ids=["canvas", "step", "bytes", "sequence", "file"],
)
async def test_what_may_become_large_is_refused_before_a_process_is_started(large: dict[str, Any]) -> None:
    def start(job: SandboxJob) -> SandboxedProcess:
        raise AssertionError(f"{job} was started")

    with pytest.raises(NotReady, match="ask for fewer figures"):
        await ChartRenderer(start).draw({**SPEC, **large})


@pytest.mark.long
@pytest.mark.parametrize(
    "hostile",
    [
        {"mark": "image", "encoding": {"url": {"value": "http://127.0.0.1:{port}/a.png"}}},
        {
            "transform": [
                {"lookup": "x", "from": {"data": {"url": "http://127.0.0.1:{port}/"}, "key": "x", "fields": ["y"]}}
            ]
        },
        {"transform": [{"sample": 1}, {"calculate": "pad('x', 400000000, 'x')", "as": "y"}]},
        {"transform": [{"calculate": "test(/^(a+)+$/, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!')", "as": "y"}]},
    ],
    ids=["picture", "lookup", "memory", "time"],
)
async def test_a_process_that_a_spec_takes_over_reaches_nothing_and_ends(
    renderer: ChartRenderer, hostile: dict[str, Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        spec = _insert(server.getsockname()[1], {**SPEC, **hostile})
        with pytest.raises(NotReady):
            await renderer.draw(spec)
        with pytest.raises(BlockingIOError):
            server.accept()


def _insert(port: int, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _insert(port, each) for name, each in value.items()}
    if isinstance(value, list):
        return [_insert(port, each) for each in value]
    return value.replace("{port}", str(port)) if isinstance(value, str) else value
