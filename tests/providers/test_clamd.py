"""The client of clamd, over a socket and over TCP, with a scanner that answers, errs, or is away."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.scanner.clamd import Clamd
from tests.fakes.clamd import EICAR, SIGNATURE, FakeClamd, closed_port
from utils.errors import ScannerUnavailable, UnreadableDocument


@pytest.fixture(params=["unix", "tcp"])
def fake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeClamd]:
    with FakeClamd(tmp_path / "clamd.ctl" if request.param == "unix" else None) as server:
        yield server


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 1_000_000])
def test_a_file_is_sent_whole_and_what_is_in_it_is_named(fake: FakeClamd, size: int) -> None:
    clamd = Clamd(fake.address)
    clamd.ping()
    assert clamd.scan(b"x" * size) is None
    assert clamd.scan(b"x" * size + EICAR) == SIGNATURE
    assert fake.scanned == [b"x" * size, b"x" * size + EICAR]


def test_a_file_that_is_larger_than_it_takes_is_refused_for_that(fake: FakeClamd) -> None:
    fake.max_bytes = 100_000
    with pytest.raises(UnreadableDocument, match="StreamMaxLength") as refused:
        Clamd(fake.address).scan(b"x" * 5_000_000)
    assert not isinstance(refused.value, ScannerUnavailable)


@pytest.mark.parametrize("reply", [b"", b"UNKNOWN COMMAND\0", b"stream: OK and more\0", b"\xff" * 10_000, b"PON"])
def test_what_is_no_answer_of_clamd_is_no_clean_file(fake: FakeClamd, reply: bytes) -> None:
    fake.reply = reply
    with pytest.raises(ScannerUnavailable):
        Clamd(fake.address).scan(b"text")
    with pytest.raises(ScannerUnavailable):
        Clamd(fake.address).ping()


def test_a_scanner_that_is_away_is_named_by_its_setting(tmp_path: Path) -> None:
    for address in (f"tcp://127.0.0.1:{closed_port()}", f"unix://{tmp_path / 'nothing.ctl'}"):
        with pytest.raises(ScannerUnavailable, match="CLAMD_ADDRESS"):
            Clamd(address).scan(b"text")
        with pytest.raises(ScannerUnavailable, match="CLAMD_ADDRESS"):
            Clamd(address).ping()


def test_a_scanner_that_says_nothing_is_not_waited_for_without_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clamd = Clamd(f"tcp://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(ScannerUnavailable):
            clamd.scan(b"x" * 10_000_000)
