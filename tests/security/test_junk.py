"""Files of 45 MB that hold next to nothing: they keep no worker busy for long."""

import random
import resource
import time

import pytest

from ingestion.parsers.kinds import shorten_blanks
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from tests.ingestion.files import pdf, picture
from tests.ingestion.office import word_parts
from tests.reading import parsing
from tests.watch.machine_speed import slow_by
from utils.errors import UnreadableDocument

JUNK_BYTES = 45 * 1024 * 1024
MAX_CPU_S = 12.0  # generously: those before took 40 to 50
TEXT = b"The mill stands by the river."
STARTS = {
    ".txt": TEXT,
    ".eml": b"Subject: Mill\n\n" + TEXT,
    ".vtt": b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + TEXT,
    ".pdf": pdf([TEXT.decode()]),
    ".docx": word_parts(f"<w:p><w:r><w:t>{TEXT.decode()}</w:t></w:r></w:p>"),
    ".png": picture(TEXT.decode()),
}
CASES = [
    (".txt", b"\0"), (".txt", b" "), (".eml", b"\n"), (".eml", b" \n"), (".eml", b"\0"), (".vtt", b"\n"),
    (".vtt", b"\0"), (".pdf", None), (".pdf", b"1 0 obj\n"), (".docx", None), (".png", None),
]  # fmt: skip


def cpu_s() -> float:
    """What the parsers that have ended took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read(parser: ParserProcess, data: bytes, name: str) -> str:
    """What is in a file, or why it was refused."""
    try:
        return parser.parse(data, name).text
    except UnreadableDocument as exc:
        return exc.detail


@pytest.mark.long
@pytest.mark.parametrize(("ending", "junk"), CASES)
def test_45_mb_of_junk_at_the_end_of_a_file_are_passed_over_or_refused_soon(ending: str, junk: bytes | None) -> None:
    tail = random.Random(1).randbytes(JUNK_BYTES) if junk is None else junk * (JUNK_BYTES // len(junk))
    before_s = cpu_s()
    with parsing(Limits(recognises=False)) as parser:
        said = read(parser, STARTS[ending] + tail, f"mill{ending}")
    assert "longer than" not in said
    assert TEXT.decode() in said or ending in (".png", ".docx") or junk == b"1 0 obj\n"
    assert cpu_s() - before_s < MAX_CPU_S * slow_by()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_what_stands_before_and_after_a_long_blank_stays_as_it_is(encoding: str) -> None:
    for blank in (" " * 5_001, "\n" * 5_002, " \r\n\t" * 2_001):
        text = shorten_blanks(f"Before.{blank}After.".encode(encoding)).decode(encoding)
        assert (text.split(), len(text) < 200) == (["Before.", "After."], True)


def test_short_blanks_are_left_and_the_time_grows_with_the_size_alone() -> None:
    data = (b" " * 1_023 + b"x") * 20_000
    began_s = time.process_time()
    assert shorten_blanks(data) == data
    assert time.process_time() - began_s < 2
