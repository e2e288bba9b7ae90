"""Certificates of PostgreSQL servers: checked against those of PGSSLROOTCERT, and what is told where there are none."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from datasources.errors import SourceUnavailable
from datasources.postgres import PostgresSource
from datasources.server_address import ServerAddress
from datasources.stopping import Stop
from tests.datasources.hostile_postgres import make_message

HOST = "db.example.org"
REFUSAL = make_message(b"E", b"SFATAL\0C28P01\0Mpassword authentication failed\0\0")


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def port(authority: trustme.CA) -> Iterator[int]:
    """A server that takes TLS, and then no password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["postgresql"])
    authority.issue_cert(HOST).configure_cert(context)

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection, suppress(OSError):
                    connection.recv(8, socket.MSG_WAITALL)
                    connection.sendall(b"S")
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        wrapped.recv(1)
                        wrapped.sendall(REFUSAL)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]


@pytest.mark.parametrize("sslmode", ["verify-full", "verify-ca"])
@pytest.mark.parametrize(
    ("given", "told"),
    [("none", "has no certificates of authorities"), ("another", "by TLS"), ("its own", "does not take this user")],
)
def test_a_certificate_is_checked_against_those_that_the_operator_gives(
    sslmode: str,
    given: str,
    told: str,
    port: int,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "authorities.pem"
    if given != "none":
        (authority if given == "its own" else trustme.CA()).cert_pem.write_to_path(str(file))
    monkeypatch.setenv("PGSSLROOTCERT", str(file))
    address = ServerAddress(HOST, port, "plant", "reader", "only-to-read", sslmode)
    with pytest.raises(SourceUnavailable, match=told) as raised:
        PostgresSource(address, lambda host, port: "127.0.0.1").check(Stop())
    assert str(tmp_path) not in str(raised.value)
