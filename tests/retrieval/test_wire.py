"""The requests of a search against servers that answer in all the ways a Qdrant, or what stands before it, may."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from retrieval.qdrant import CollectionGone, translate_client_errors
from retrieval.wire import HttpWire
from utils.errors import StoreRefused, StoreUnavailable

KEY = "a key that is told to nobody"
CLOSED = b""  # the connection is closed without an answer
SILENT = None


def reply(body: str, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


FINE = reply('{"result": [1], "status": "ok"}')


class Program:
    """Listens and answers its requests in turn with *replies*; keeps what it was sent."""

    def __init__(self, replies: Sequence[bytes | None]) -> None:
        self._replies, self.heads = list(replies), list[str]()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(line[16:]) for line in head.split("\r\n") if line.lower().startswith("content-len"))
                await reader.readexactly(length)
                self.heads.append(head)
                answer = self._replies.pop(0)
                if answer is SILENT:
                    await reader.read()
                    return
                if answer == CLOSED:
                    return
                writer.write(answer)
                if b"connection: close" in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def wire_to(
    *replies: bytes | None, timeout_s: float = 30, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[HttpWire, Program]]:
    program = Program(replies)
    listening = await asyncio.start_server(program.serve, "127.0.0.1", 0, ssl=tls)
    address = f"{'https' if tls else 'http'}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/qdrant/"
    wire = HttpWire(address, api_key=KEY, timeout_s=timeout_s)
    async with listening:
        try:
            yield wire, program
        finally:
            await wire.close()


async def ask(wire: HttpWire) -> Any:
    with translate_client_errors(with_key=True):
        return await wire.ask("a/b collection", "points", {"ids": []})


async def test_the_key_the_prefix_and_any_name_of_a_collection_are_sent() -> None:
    async with wire_to(FINE) as (wire, program):
        assert await ask(wire) == [1]
        assert program.heads[0].startswith("POST /qdrant/collections/a%2Fb%20collection/points HTTP/1.1\r\n")
        assert f"api-key: {KEY}\r\n" in program.heads[0]


async def test_a_certificate_is_needed_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with wire_to(FINE, tls=tls) as (wire, program):
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await ask(wire)
        assert program.heads == []
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with wire_to(FINE, tls=tls) as (wire, _):
        assert await ask(wire) == [1]


async def test_a_connection_that_closes_when_it_is_used_is_replaced_once() -> None:
    async with wire_to(FINE, CLOSED, FINE, CLOSED, CLOSED, FINE) as (wire, program):
        assert [await ask(wire), await ask(wire)] == [[1], [1]]
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await ask(wire)
        assert await ask(wire) == [1]
        assert len(program.heads) == 6


async def test_a_server_that_falls_silent_is_given_up() -> None:
    async with wire_to(FINE, SILENT, timeout_s=0.2) as (wire, program):
        await ask(wire)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await ask(wire)
        assert time.monotonic() - began < 5
        assert len(program.heads) == 2, "a wait is not begun again"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (reply("{}", "401 Unauthorized"), StoreRefused, "refuses the key"),
        (
            reply('{"status": {"error": "Not found: Collection `x` doesn\'t exist!"}}', "404 -"),
            CollectionGone,
            "no longer exists",
        ),
        (reply("busy", "429 -"), StoreUnavailable, "cannot serve now"),
        (reply("bad gateway", "502 -"), StoreUnavailable, "cannot serve now"),
        (reply("what?", "400 -"), StoreRefused, "refused a request"),
        (b"HTTP/1.1 302 -\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", StoreRefused, "refused a request"),
        (reply("<!doctype html>"), StoreRefused, "not a Qdrant"),
        (reply("[]"), StoreRefused, "not a Qdrant"),
        (reply("{}"), StoreRefused, "not a Qdrant"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", StoreUnavailable, "does not answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{", StoreUnavailable, "does not answer"),
    ],
)
async def test_any_other_answer_says_what_is_wrong(answer: bytes, kind: type[StoreUnavailable], said: str) -> None:
    async with wire_to(answer, CLOSED) as (wire, _):
        with pytest.raises(StoreUnavailable, match=said) as caught:
            await ask(wire)
        assert type(caught.value) is kind
        error: BaseException | None = caught.value
        while error is not None:
            assert KEY not in repr(error) + str(error)
            error = error.__cause__
