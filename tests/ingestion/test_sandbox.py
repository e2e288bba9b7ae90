"""The process that parses: limited in time and memory, ignorant of our secrets, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from tests.ingestion.files import joined, pdf, picture, pictures, saved, word
from tests.ingestion.workers import fork_servers_of, wait_until, workers_of
from tests.reading import SANDBOX, parsing
from tests.service import ROOT
from utils.errors import UnreadableDocument
from utils.sandbox.sandbox import Sandbox

# Markdown whose parsing takes far longer than any of the tests' limits.
ENDLESS = b"[" * 900_000
linux_only = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux: /proc, RLIMIT_AS")


@pytest.fixture
def parser() -> Iterator[ParserProcess]:
    with parsing(Limits(timeout_s=1.0)) as parser:
        yield parser


@pytest.fixture
def no_other_fork_server() -> None:
    """The one of other tests ended: the next begins anew."""
    SANDBOX.close()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_worker_reads_files_of_every_kind(parser: ParserProcess) -> None:
    document = word()
    document.add_paragraph("from Word")
    files = {
        "a.md": b"# Title\n\ntext",
        "a.pdf": pdf(["from PDF"]),
        "a.docx": saved(document),
        "a.html": b"<p>from a page</p>",
        "a.txt": "from téxt".encode(),
    }
    texts = [parser.parse(data, name).text for name, data in files.items()]
    assert texts == ["Title\n\ntext", "from PDF", "from Word", "from a page", "from téxt"]
    assert parser.parse(b"# Title\n\ntext", "a.md").sections[0].heading == ("Title",)


def test_a_refusal_comes_back_and_the_worker_goes_on(parser: ParserProcess) -> None:
    with pytest.raises(UnreadableDocument, match="not a PDF"):
        parser.parse(b"no", "a.pdf")
    assert parser.parse(b"yes", "a.txt").text == "yes"


def test_a_file_that_takes_too_long_is_given_up_and_the_next_one_is_read(parser: ParserProcess) -> None:
    with pytest.raises(UnreadableDocument, match="longer than 1 s"):
        parser.parse(ENDLESS, "a.md")
    assert parser.parse(b"the next", "a.md").text == "the next"


@linux_only
@pytest.mark.usefixtures("no_other_fork_server")
def test_a_file_that_takes_too_much_memory_is_given_up_and_the_next_one_is_read() -> None:
    with parsing(Limits(memory_bytes=200_000_000)) as parser:
        with pytest.raises(UnreadableDocument, match="200 MB of memory"):
            parser.parse("\N{COLLISION SYMBOL}".encode() * 10_000_000, "a.txt")
        assert parser.parse(b"the next", "a.md").text == "the next"


def test_a_process_that_is_killed_in_the_middle_of_a_file_refuses_that_one_alone() -> None:
    def kill() -> None:
        wait_until(lambda: len(workers_of(os.getpid())) == 1)
        [worker] = workers_of(os.getpid())
        os.kill(worker, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    with parsing() as parser:
        killing.start()
        with pytest.raises(UnreadableDocument, match="memory"):
            parser.parse(ENDLESS, "a.md")
        killing.join()
        assert parser.parse(b"the next", "a.md").text == "the next"


def test_a_fork_server_that_was_killed_is_replaced(parser: ParserProcess) -> None:
    parser.parse(b"one", "a.txt")
    [server] = fork_servers_of(os.getpid())
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not is_running(server))
    assert parser.parse(b"two", "a.txt").text == "two"


@linux_only
def test_the_processes_do_not_get_our_secrets(parser: ParserProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-parsers")
    parser.parse(b"one", "a.txt")
    [server] = fork_servers_of(os.getpid())
    assert b"sk-not-for-parsers" not in Path(f"/proc/{server}/environ").read_bytes()


@pytest.mark.usefixtures("no_other_fork_server")
def test_closing_leaves_no_worker_behind() -> None:
    with Sandbox() as sandbox, ParserProcess(Limits(), sandbox) as parser:
        parser.parse(b"one", "a.txt")
        assert workers_of(os.getpid()) == []
    assert fork_servers_of(os.getpid()) == []
    sandbox.close()


def prepared() -> int:
    """The one process that waits for a file."""
    wait_until(lambda: len(workers_of(os.getpid())) == 1)
    [waiting] = workers_of(os.getpid())
    return waiting


def test_each_file_is_read_by_a_process_of_its_own_that_was_prepared_for_it() -> None:
    with Sandbox(prepares=True) as sandbox, ParserProcess(Limits(), sandbox) as parser:
        waiting = []
        for number in range(3):
            assert parser.parse(f"text {number}".encode(), f"{number}.txt").text == f"text {number}"
            waiting.append(prepared())
        assert len(set(waiting)) == 3
        assert not any(map(is_running, waiting[:-1]))
    wait_until(lambda: not is_running(waiting[-1]))


def test_a_process_that_was_prepared_for_another_kind_of_file_is_not_taken_and_one_that_was_killed_is_replaced() -> (
    None
):
    with Sandbox(prepares=True) as sandbox, ParserProcess(Limits(), sandbox) as parser:
        parser.parse(b"one", "a.txt")
        of_text = prepared()
        assert parser.parse(pdf(["two"]), "a.pdf").text == "two"
        wait_until(lambda: not is_running(of_text))
        os.kill(prepared(), signal.SIGKILL)
        wait_until(lambda: workers_of(os.getpid()) == [])
        assert parser.parse(pdf(["three"]), "a.pdf").text == "three"


@pytest.mark.usefixtures("no_other_fork_server")
def test_a_fork_server_that_was_killed_while_a_process_waited_is_replaced() -> None:
    with Sandbox(prepares=True) as sandbox, ParserProcess(Limits(), sandbox) as parser:
        parser.parse(b"one", "a.txt")
        waiting, [server] = prepared(), fork_servers_of(os.getpid())
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: not is_running(waiting))
        assert parser.parse(b"two", "a.txt").text == "two"


@linux_only
def test_a_worker_ends_with_a_loader_that_was_killed_even_in_the_middle_of_a_file() -> None:
    script = (
        "from ingestion.parsers.sandbox import *\n"
        "parser = ParserProcess(Limits(timeout_s=100), Sandbox())\n"
        "parser.parse(b'one', 'a.txt')\n"
        "print('ready', flush=True)\n"
        f"parser.parse(b'[' * {len(ENDLESS)}, 'a.md')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as loader:
        assert loader.stdout is not None
        loader.stdout.readline()
        wait_until(lambda: len(workers_of(loader.pid)) == 1)
        processes = fork_servers_of(loader.pid) + workers_of(loader.pid)
        loader.kill()
    wait_until(lambda: not any(map(is_running, processes)))


def scans(*texts: str) -> bytes:
    """A PDF with a typed page, then a scanned one for each of *texts*."""
    return joined(pdf(["Typed on the first page."]), *[pictures([text], kind="PDF") for text in texts])


@pytest.mark.usefixtures("recognition")
def test_scanned_pages_are_recognised_in_a_second_pass_and_told_one_by_one() -> None:
    data, told = scans("Fees are due in March", "¿Mañana? La inscripción"), list[tuple[int, int]]()
    with parsing() as parser:
        first = parser.parse(data, "a.pdf")
        whole = parser.recognise(data, "a.pdf", first.unread_pages, lambda *pages: told.append(pages))
        assert (first.text, first.unread_pages) == ("Typed on the first page.", (2, 3))
        assert whole.text == "Typed on the first page.\n\nFees are due in March\n\n¿Mañana? La inscripción"
        assert [section.page for section in whole.sections] == [1, 2, 3]
        assert (whole.unread_pages, told) == ((), [(0, 2), (1, 2), (2, 2)])
        sideways = picture("Hours on a page", "that lies on its side", "are read all the same", turn=90)
        assert parser.recognise(sideways, "a.png", [1]).text.startswith("Hours on a page")


@pytest.mark.usefixtures("recognition")
def test_a_page_that_takes_too_long_stays_unread_and_its_document_is_read() -> None:
    data = scans("One", "Two")
    with parsing(Limits(page_timeout_s=0.05)) as parser:
        whole = parser.recognise(data, "a.pdf", [2, 3])
        assert (whole.text, whole.unread_pages) == ("Typed on the first page.", (2, 3))


@pytest.mark.usefixtures("recognition")
def test_a_page_at_which_the_worker_ended_is_tried_once_more() -> None:
    def kill(done: int, pages: int) -> None:
        if done == 1:
            for worker in workers_of(os.getpid()):
                os.kill(worker, signal.SIGKILL)

    with parsing() as parser:
        data = scans("Fees", "Loans")
        whole = parser.recognise(data, "a.pdf", parser.parse(data, "a.pdf").unread_pages, kill)
        assert (whole.text, whole.unread_pages) == ("Typed on the first page.\n\nFees\n\nLoans", ())


@pytest.mark.usefixtures("recognition")
def test_a_page_that_was_interrupted_is_not_tried_again() -> None:
    def interrupt(done: int, pages: int) -> None:
        if not done:
            parser.interrupt()

    data = scans("Fees", "Loans")
    with parsing() as parser:
        pages = parser.parse(data, "a.pdf").unread_pages
        assert parser.recognise(data, "a.pdf", pages, interrupt).unread_pages == (2,)


@pytest.mark.usefixtures("recognition")
def test_pages_beyond_the_limit_stay_unread() -> None:
    with parsing(Limits(recognised_pages=1)) as parser:
        whole = parser.recognise(scans("Fees", "Loans"), "a.pdf", [2, 3])
        assert (whole.text, whole.unread_pages) == ("Typed on the first page.\n\nFees", (3,))


@pytest.mark.usefixtures("recognition")
def test_work_that_its_caller_ends_leaves_no_answers_for_the_next_document() -> None:
    def stop(done: int, pages: int) -> None:
        if done:
            raise InterruptedError

    with parsing() as parser:
        with pytest.raises(InterruptedError):
            parser.recognise(scans("One", "Two"), "a.pdf", [2, 3], stop)
        assert parser.parse(b"the next", "a.md").text == "the next"


def test_without_recognition_scanned_pages_stay_unread() -> None:
    with parsing(Limits(recognises=False)) as parser:
        assert not parser.recognises
        assert parser.recognise(scans("One"), "a.pdf", [2]).unread_pages == (2,)


def test_the_service_itself_loads_no_parser() -> None:
    script = "import sys, ingestion.pipeline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in loaded.stdout.split()}
    assert not modules & {"lxml", "pypdfium2", "pdfplumber", "openpyxl", "PIL", "rapidocr", "onnxruntime", "cv2"}
