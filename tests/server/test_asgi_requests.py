"""What a request looks like to the app: addresses, paths and headers as the live server and its proxy give them."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import httpx
import pytest
from flask import Flask, request

from server.asgi import FlaskAsgi, make_uvicorn_options
from tests.server.live_server import Address, serving


def make_telling() -> Flask:
    app = Flask("telling")

    @app.get("/")
    async def tell() -> Any:
        told = {"path": request.path, "root": request.root_path, "client": request.remote_addr, "url": request.url}
        return told | {"headers": dict(request.headers), "query": request.args, "port": request.environ["SERVER_PORT"]}

    @app.errorhandler(400)
    async def bad(error: Exception) -> Any:
        return {"refused": str(error)}, 400

    return app


@pytest.fixture(scope="module")
def telling() -> Iterator[Address]:
    with serving(FlaskAsgi(make_telling()), root_path="/mounted") as live:
        yield live


def told_by(answer: Any) -> Any:
    assert answer.status == 200, answer
    return httpx.Response(200, content=answer.body).json()


def test_a_root_path_is_not_part_of_the_path(telling: Address) -> None:
    told = told_by(telling.get("/"))
    assert (told["path"], told["root"], told["url"]) == ("/", "/mounted", "http://test/mounted/")


def test_addresses_are_the_connections_own(telling: Address) -> None:
    told = told_by(telling.get("/"))
    assert (told["client"], told["port"]) == ("127.0.0.1", str(telling.port))


FORWARDED = ("X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")


@pytest.mark.parametrize("proxies", [["127.0.0.1"], ["127.0.0.7/8", "2001:db8::/32"]])
def test_a_proxys_word_on_the_client_is_taken_from_configured_proxies(proxies: list[str]) -> None:
    with serving(FlaskAsgi(make_telling()), **make_uvicorn_options(forwarded_allow_ips=proxies)) as live:
        told = told_by(live.get("/", *FORWARDED))
    assert (told["client"], told["url"]) == ("192.0.2.7", "https://test/")


@pytest.mark.parametrize("proxies", [[], ["10.0.0.0/8"]])
def test_nobody_else_is_believed_about_the_client(proxies: list[str]) -> None:
    with serving(FlaskAsgi(make_telling()), **make_uvicorn_options(forwarded_allow_ips=proxies)) as live:
        told = told_by(live.get("/", *FORWARDED))
    assert (told["client"], told["url"]) == ("127.0.0.1", "http://test/")


def test_a_proxy_that_comes_by_a_socket_for_both_families_is_known() -> None:
    trusted = make_uvicorn_options(forwarded_allow_ips=["10.0.0.0/8"])["forwarded_allow_ips"]
    networks = [ip_network(network) for network in trusted]
    assert any(ip_address("::ffff:10.2.3.4") in network for network in networks)
    assert not any(ip_address("::ffff:11.2.3.4") in network for network in networks)


def test_a_header_with_an_underscore_cannot_pose_as_another(telling: Address) -> None:
    told = told_by(telling.get("/", "X_Real_Ip: spoofed", "X-Other: kept"))
    assert "X-Real-Ip" not in told["headers"]
    assert told["headers"]["X-Other"] == "kept"


def test_cookies_sent_apart_are_one_cookie_header(telling: Address) -> None:
    assert told_by(telling.get("/", "Cookie: a=1", "Cookie: b=2"))["headers"]["Cookie"] == "a=1; b=2"


def test_raw_bytes_in_headers_and_query_are_no_error(telling: Address) -> None:
    assert told_by(telling.get("/", "X-Raw: \xff"))["headers"]["X-Raw"] == "\xff"
    assert telling.get("/?q=\xc3\xa9").status in (200, 400)  # some of uvicorn's parsers refuse it themselves


def test_too_many_headers_of_one_name_are_refused_in_the_apps_words(telling: Address) -> None:
    answer = telling.get("/", *["X-Many: 1"] * 101)
    assert answer.status == 400
    assert b"too many headers" in answer.body


def test_a_websocket_is_refused(telling: Address, caplog: pytest.LogCaptureFixture) -> None:
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    )
    assert telling.get("/", *upgrade).status == 400
    assert not caplog.records
