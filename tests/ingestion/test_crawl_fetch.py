"""Fetching, over real sockets: only where it is allowed to go, only as much as was asked for, never for long."""

import gzip
import threading
import time
import zlib
from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingestion.crawl.fetch import Fetcher, FetchFailed, PageTooLarge, unpack
from ingestion.crawl.guard import resolve
from tests.examples import count_examples
from tests.fakes.website import Page, Website, packed
from utils.reach import AddressRefused, Reach

NOT_PUBLIC = "It leads to an address that is not on the public internet."


@pytest.fixture
def site() -> Iterator[Website]:
    with Website() as website:
        yield website


@pytest.fixture
def fetcher(site: Website) -> Iterator[Fetcher]:
    with fetcher_of(site) as opened:
        yield opened


def reach_of(site: Website, networks: str = "127.0.0.0/8") -> Reach:
    return Reach((ip_network(networks),), frozenset({site.port}))


def fetcher_of(site: Website, **options: float) -> Fetcher:
    return Fetcher("Pustaka/1.0", reach_of(site), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",  # noqa: S104 - nothing listens here
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
        ),
        *("100.100.100.200", "168.63.129.16", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "203.0.113.1"),
        *("224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1"),
        *("2600::5efe:7f00:1", "not an address", ""),
        *("192.0.0.192", "192.0.0.9", "192.31.196.1", "192.52.193.1", "192.175.48.1", "3fff::1", "3fff:fff::1"),
        *("2001:1::1", "2001:1ff::1", "2620:4f:8000::1", "5f00::1", "::ffff:192.0.0.192", "64:ff9b::c000:c0"),
    ],
)
def test_addresses_that_are_not_on_the_public_internet_are_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        Reach().check(address, 443)


@pytest.mark.parametrize(
    "address",
    [
        *("93.184.216.34", "8.8.8.8", "192.0.1.1", "192.31.197.1", "2606:4700::1111", "2001:200::1", "2620:4f:8001::1"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_public_addresses_are_allowed_on_web_ports_alone(address: str) -> None:
    Reach().check(address, 80)
    Reach().check(address, 443)
    for port in (22, 6379, 8080):
        with pytest.raises(AddressRefused, match=f"Port {port}"):
            Reach().check(address, port)


def test_nothing_private_is_reached_unless_the_operator_opens_it(site: Website) -> None:
    site.pages["/"] = Page(b"secret")
    port = site.port
    closed = Reach(ports=frozenset({port}))
    hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001", "127.1", "[::ffff:127.0.0.1]", "0")
    with Fetcher("Pustaka/1.0", closed) as fetcher:
        for host in hosts:
            with pytest.raises(FetchFailed) as caught:
                fetcher.get(f"http://{host}:{port}/", lambda _: 100)
            assert caught.value.reason in (NOT_PUBLIC, "Its host has no address.")
    assert site.requests == []
    with fetcher_of(site) as fetcher:
        assert fetcher.get(f"{site.url}/", lambda _: 100).body == b"secret"


def test_a_name_that_is_rebound_between_the_check_and_the_connection_gains_nothing() -> None:
    with Website("127.0.0.2") as public, Website("127.0.0.99", public.port) as secret:
        public.pages["/"], secret.pages["/"] = Page(b"public"), Page(b"secret")
        answers = ["127.0.0.2", "127.0.0.99", "127.0.0.99"]
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return [answers[len(asked) - 1]]

        reach = reach_of(public, "127.0.0.0/28")
        with Fetcher("Pustaka/1.0", reach, resolver=rebinding) as fetcher:
            address = f"http://rebind.example:{public.port}/"
            assert fetcher.get(address, lambda _: 100).body == b"public"
            assert asked == ["rebind.example"], "resolved once"
        again = Fetcher("Pustaka/1.0", reach, resolver=rebinding)
        with again, pytest.raises(FetchFailed, match="not on the public internet"):
            again.get(address, lambda _: 100)
        assert secret.requests == []
        assert public.requests[0].headers["Host"] == f"rebind.example:{public.port}"


def test_a_name_with_one_private_address_among_others_is_refused(site: Website) -> None:
    def both(host: str, port: int) -> list[str]:
        return ["127.0.0.1", "10.0.0.1"]

    fetcher = Fetcher("Pustaka/1.0", reach_of(site), resolver=both)
    with fetcher, pytest.raises(FetchFailed, match="not on the public internet"):
        fetcher.get(f"http://mixed.example:{site.port}/", lambda _: 100)


def test_a_redirect_is_told_and_not_followed(site: Website) -> None:
    site.pages["/"] = Page(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    with fetcher_of(site) as fetcher:
        reply = fetcher.get(f"{site.url}/", lambda _: 100)
        assert (reply.status, reply.location) == (302, "http://169.254.169.254/latest/meta-data/")
    assert len(site.requests) == 1


def test_a_body_is_read_to_its_limit_and_no_further(site: Website) -> None:
    site.pages["/"] = Page(b"x" * 1_000_000)
    with fetcher_of(site) as fetcher:
        assert len(fetcher.get(f"{site.url}/", lambda _: 1_000_000).body or b"") == 1_000_000
        with pytest.raises(PageTooLarge, match=r"larger than 0.01 MB") as caught:
            fetcher.get(f"{site.url}/", lambda _: 10_000)
        assert caught.value.begun == b"x" * 10_000


def test_what_gzip_makes_small_is_unpacked_to_the_limit_and_no_further(site: Website) -> None:
    site.pages["/page"] = packed(b"Twelve days of leave. " * 10_000)
    bomb = gzip.compress(b"\0" * 200_000_000, 1)
    site.pages["/bomb"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    site.pages["/members"] = Page(gzip.compress(b"one ") + gzip.compress(b"two"), headers={"Content-Encoding": "gzip"})
    site.pages["/damaged"] = Page(b"no gzip", headers={"Content-Encoding": "gzip"})
    site.pages["/unasked"] = Page(zlib.compress(b"x"), headers={"Content-Encoding": "br"})
    with fetcher_of(site) as fetcher:
        assert fetcher.get(f"{site.url}/page", lambda _: 1_000_000).body == b"Twelve days of leave. " * 10_000
        assert fetcher.get(f"{site.url}/members", lambda _: 100).body == b"one two"
        with pytest.raises(PageTooLarge):
            fetcher.get(f"{site.url}/bomb", lambda _: 1_000_000)
        for path in ("/damaged", "/unasked"):
            with pytest.raises(FetchFailed, match=r"Content-Encoding|damaged"):
                fetcher.get(site.url + path, lambda _: 100)
    assert site.requests[0].headers["Accept-Encoding"] == "gzip"
    assert len(b"".join(unpack([bomb], 1_000))) < 100_000


_IN_HEADERS = (
    *("filename", "filename*", "filename*0*", "filename*1", "filename*0", "charset", "charset*", "charset*1", "inline"),
    *(
        "=",
        ";",
        '"',
        "''",
        "utf-8'en'",
        "%ff",
        "%",
        "\\",
        " ",
        "é",
        "/",
        "text/html",
        "=?utf-8?q?x?=",
        "=?",
        "\x80",
        "²",
    ),
    *("1", "10", "*", "idna", ",", ":", "\t"),
)


@given(
    st.sampled_from(["Retry-After", "Content-Type", "Content-Disposition", "ETag", "Last-Modified", "X-Robots-Tag"]),
    st.lists(st.sampled_from(_IN_HEADERS), max_size=10).map("".join),
)
@example("Retry-After", "²")
@example("Content-Type", "text/html;charset*1;charset")
@example("Content-Disposition", "filename*1inline;filename*;1")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=count_examples(50))
def test_whatever_a_header_says_the_page_is_read_or_refused(
    site: Website, fetcher: Fetcher, name: str, value: str
) -> None:
    site.pages["/"] = Page(b"Opening hours", headers={name: value})
    try:
        came_to: object = fetcher.get(f"{site.url}/", lambda _: 1_000).body
    except FetchFailed as exc:
        came_to = exc.reason
    assert came_to in (b"Opening hours", "Its headers cannot be read.")


def test_what_nobody_wants_is_not_read(site: Website) -> None:
    site.pages["/film"] = Page(b"x" * 5_000_000, media_type="video/mp4")
    with fetcher_of(site) as fetcher:
        reply = fetcher.get(f"{site.url}/film", lambda media_type: 0 if media_type == "video/mp4" else 100)
        assert (reply.media_type, reply.body) == ("video/mp4", None)


def test_a_body_that_drips_is_given_up_when_its_time_is_over(site: Website) -> None:
    site.pages["/"] = Page(b"x" * 1_000, drip_s=0.05)
    with fetcher_of(site, request_s=0.5) as fetcher, pytest.raises(FetchFailed, match=r"longer than 0.5 s") as caught:
        fetcher.get(f"{site.url}/", lambda _: 10_000)
    assert caught.value.temporary


def test_a_request_under_way_ends_when_it_is_told_to(site: Website) -> None:
    site.pages["/"] = Page(b"x" * 10_000, drip_s=0.05)
    with fetcher_of(site) as fetcher:

        def abort_once_asked() -> None:
            while not site.requests:
                time.sleep(0.005)  # between two looks
            fetcher.abort()

        aborting = threading.Thread(target=abort_once_asked)
        aborting.start()
        with pytest.raises(FetchFailed):
            fetcher.get(f"{site.url}/", lambda _: 100_000)
        aborting.join()
        with pytest.raises(FetchFailed):
            fetcher.get(f"{site.url}/", lambda _: 100_000)
        assert len(site.requests) == 1


def test_a_host_that_is_not_there_or_does_not_answer_is_a_temporary_failure(site: Website) -> None:
    port = site.port
    with fetcher_of(site) as fetcher:
        with pytest.raises(FetchFailed, match="no address") as unknown:
            fetcher.get(f"http://no-such-host.invalid:{port}/", lambda _: 100)
        with pytest.raises(FetchFailed, match="cannot be reached") as closed:
            fetcher.get(f"http://127.0.0.77:{port}/", lambda _: 100)
    assert unknown.value.temporary
    assert closed.value.temporary


def test_the_systems_resolver_gives_each_address_once() -> None:
    assert "127.0.0.1" in resolve("localhost", 80)
    assert len(set(resolve("localhost", 80))) == len(resolve("localhost", 80))
