"""What comes of a file whose parser was taken over, for the uploader, the operator and the next document."""

import json
import os
import sys
import time
from collections.abc import Iterator

import pytest

from ingestion.parsers import sandbox as parsing
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from tests.ingestion.workers import fork_servers_of, wait_until, workers_of
from tests.security.sandbox.hostile import LIES
from utils.errors import UnreadableDocument
from utils.sandbox.jobs import SandboxJob
from utils.sandbox.process import ProcessEnded
from utils.sandbox.sandbox import Sandbox

HOSTILE = "tests.security.sandbox.hostile"
DAMAGED = "Damaged or unsupported file"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")


@pytest.fixture
def parser(sandbox: Sandbox) -> Iterator[ParserProcess]:
    with ParserProcess(Limits(timeout_s=20), sandbox) as opened:
        yield opened


def hostile(function: str, *, cpu_s: int = 20, memory_bytes: int = 300_000_000) -> SandboxJob:
    return SandboxJob(serve=f"{HOSTILE}:{function}", preload=(HOSTILE,), memory_bytes=memory_bytes, cpu_s=cpu_s)


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_that_no_parser_gives_is_a_damaged_file(
    lie: str, parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "_PARSE", f"{HOSTILE}:tell_a_lie")
    with pytest.raises(UnreadableDocument, match=DAMAGED):
        parser.parse(lie.encode(), "a.txt")
    monkeypatch.undo()
    assert parser.parse(b"the next", "a.txt").text == "the next"


@pytest.mark.parametrize("name", ["a.txt", "a.docx"])
def test_a_file_of_today_is_not_handed_to_libreoffice(
    parser: ParserProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(parsing, "_PARSE", f"{HOSTILE}:ask_for_conversion")
    with pytest.raises(UnreadableDocument, match=DAMAGED):
        parser.parse(b"one", name)
    assert "conversion of a file that needs none" in caplog.text


def test_an_answer_without_end_is_cut_off(parser: ParserProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "_PARSE", f"{HOSTILE}:answer_without_end")
    monkeypatch.setattr(parsing, "_ANSWER_BYTES", 5_000_000)
    with pytest.raises(UnreadableDocument, match="memory"):
        parser.parse(b"one", "a.txt")
    assert workers_of(os.getpid()) == []


@linux_only
def test_a_file_that_a_wall_ends_is_damaged_for_its_uploader_and_an_attack_for_the_operator(
    parser: ParserProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parsing, "_PARSE", f"{HOSTILE}:make_a_forbidden_call")
    with pytest.raises(UnreadableDocument, match=DAMAGED):
        parser.parse(b"one", "invoice.txt")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "invoice.txt" in record.getMessage()
    assert "forbidden system call" in record.getMessage()


def test_a_process_that_goes_on_unheard_is_ended(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.sandbox.process.END_S", 0.5)
    with sandbox.start(hostile("go_on_unheard")) as process:
        process.write(b"\n", time.monotonic() + 20)
        with pytest.raises(ProcessEnded):
            process.read_line(1_000, time.monotonic() + 20)
    assert workers_of(os.getpid()) == []


@linux_only
def test_processor_time_and_memory_end_where_the_limits_say_so_whether_anybody_waits_or_not(sandbox: Sandbox) -> None:
    with sandbox.start(hostile("calculate_for_ever", cpu_s=1)) as process:
        with pytest.raises(ProcessEnded) as ended:
            process.read_line(1_000, time.monotonic() + 60)
        assert ended.value.reason == "time"
    with sandbox.start(hostile("take_all_memory")) as process:
        process.write(b"\n", time.monotonic() + 20)
        assert json.loads(process.read_line(1_000, time.monotonic() + 20)) < 300_000_000


@linux_only
def test_no_process_survives_the_one_that_forked_it() -> None:
    with Sandbox() as sandbox, sandbox.start(hostile("calculate_for_ever")):
        [server] = [pid for pid in fork_servers_of(os.getpid()) if workers_of_server(pid)]
        [worker] = workers_of_server(server)
        os.kill(server, 9)
        wait_until(lambda: not os.path.exists(f"/proc/{worker}/exe"))


def workers_of_server(server: int) -> list[int]:
    with open(f"/proc/{server}/task/{server}/children") as children:
        return [int(pid) for pid in children.read().split()]
