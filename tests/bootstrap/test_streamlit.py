"""The chat page as a child: it comes up, keeps the key to itself, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootstrap.streamlit import ChatPage, StreamlitChild
from tests.page_variables import PAGE_VARIABLES
from tests.service import free_port
from utils.processes import StartError, reserve_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
SERVICE = """
import sys
from pathlib import Path
from bootstrap.streamlit import ChatPage, StreamlitChild
page = ChatPage(host="127.0.0.1", port=int(sys.argv[2]), api_url="http://127.0.0.1:1", api_key="ak_secret")
child = StreamlitChild(page, Path(sys.argv[1]))
child.start()
child.wait_ready()
print("started", flush=True)
sys.stdin.read()
"""


def page_on(port: int, logo: str | None = None) -> ChatPage:
    here: dict[str, Any] = {"host": "127.0.0.1", "port": port, "api_url": "http://127.0.0.1:1", "api_key": "ak_secret"}
    return ChatPage(**here, title="Arsip", logo=logo)


def commands() -> Iterator[tuple[Path, str]]:
    """What every user of the machine can read of every process, and where."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield path, path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def command_lines() -> str:
    """All of them together."""
    return "\n".join(line for _, line in commands())


@pytest.fixture
def chat_page(tmp_path: Path) -> Iterator[StreamlitChild]:
    """A page that answers, speaking to an API that is away."""
    child = StreamlitChild(page_on(free_port()), tmp_path)
    child.start()
    child.wait_ready()
    yield child
    child.stop()


def test_the_page_answers_without_showing_the_key_or_asking_anything(chat_page: StreamlitChild, tmp_path: Path) -> None:
    page = httpx.get(chat_page.url)
    assert page.status_code == 200
    assert "ak_secret" not in page.text
    assert "ak_secret" not in command_lines()
    printed = (tmp_path / "streamlit.log").read_text()
    assert "ak_secret" not in printed
    assert "Email" not in printed
    assert "External URL" not in printed  # found by asking a server on the internet
    assert (tmp_path / "streamlit.log").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process's environment")
def test_the_page_gets_its_own_key_and_none_of_the_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-service")
    monkeypatch.setenv("PORT", "8000")  # Streamlit would listen there
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)  # OpenCV sets it where it is imported
    port = free_port()
    monkeypatch.chdir(tmp_path)
    child = StreamlitChild(page_on(port, "logo.png"), tmp_path)
    child.start()
    child.wait_ready()
    (process,) = [path.parent for path, line in commands() if f"--server.port={port}" in line]
    given = (process / "environ").read_text().split("\0")
    child.stop()
    assert {"CHAT_PAGE_KEY=ak_secret", "CHAT_TITLE=Arsip", f"CHAT_LOGO={tmp_path / 'logo.png'}"} <= set(given)
    names = {variable.partition("=")[0] for variable in given if variable}
    assert names <= PAGE_VARIABLES | {
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "PYTHONPATH",
    }


def test_stopping_frees_the_port_within_seconds(chat_page: StreamlitChild) -> None:
    began = time.monotonic()
    assert chat_page.stop()
    assert time.monotonic() - began < 5
    assert chat_page.stop()
    assert not chat_page.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(chat_page.url)


def test_a_port_in_use_is_a_clear_refusal(tmp_path: Path) -> None:
    with reserve_port("127.0.0.1", 0, variable="PORT") as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} is in use .*STREAMLIT_PORT"):
            StreamlitChild(page_on(port), tmp_path).start()


def test_an_impossible_port_is_a_clear_refusal(tmp_path: Path) -> None:
    child = StreamlitChild(page_on(70_000), tmp_path)
    with pytest.raises(StartError, match=r"STREAMLIT_PORT"):
        child.start()
    assert not child.is_alive()


def test_a_page_that_ends_at_once_gives_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "streamlit.py").write_text("raise SystemExit('Streamlit is broken here.')")
    child = StreamlitChild(page_on(free_port()), tmp_path)
    child.start()
    with pytest.raises(StartError, match=r"Streamlit is broken here\..*streamlit\.log"):
        child.wait_ready()
    assert not child.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_service_takes_the_page_with_it(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", SERVICE, str(tmp_path), str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "started\n"
        assert f"--server.port={port}" in command_lines()
        os.kill(service.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while f"--server.port={port}" in command_lines():
        assert time.monotonic() < deadline
        time.sleep(0.05)
