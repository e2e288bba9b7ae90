"""One way to write an address, what robots.txt allows, what sitemaps name: tables of cases."""

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.crawl.addresses import UnusableAddress, canonicalize, format_address, link, make_likeness_key
from ingestion.crawl.robots import MAX_BYTES, MAX_RULES, Robots, read_robots
from ingestion.crawl.sitemap import iter_addresses, read_sitemap
from tests.security.cost import cpu_s


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a#part", "https://example.org/a"),
        ("http://example.org:8080/", "http://example.org:8080/"),
        ("http://example.org./a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/../../a", "http://example.org/a"),
        ("http://example.org/a b/%7ejoe/%c3%a9", "http://example.org/a%20b/~joe/%C3%A9"),
        ("http://example.org/é?q=ñ", "http://example.org/%C3%A9?q=%C3%B1"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://example.org/?utm_source=x&id=2&gclid=3&fbclid=4", "http://example.org/?id=2"),
        ("http://example.org/a;jsessionid=12AB?PHPSESSID=9", "http://example.org/a"),
        ("http://example.org/?b=2&a=1", "http://example.org/?b=2&a=1"),
        ("http://[2001:DB8:0::1]/", "http://[2001:db8::1]/"),
        ("  http://example.org/  ", "http://example.org/"),
    ],
)
def test_an_address_is_written_in_one_way(address: str, expected: str) -> None:
    assert canonicalize(address) == expected
    assert canonicalize(expected) == expected


@pytest.mark.parametrize(
    "address",
    [
        *("", "example.org", "ftp://example.org/", "javascript:alert(1)", "mailto:a@example.org", "data:text/html,x"),
        *("http://", "http:///path", "http://user@example.org/", "http://a:b@example.org/", "http://exa mple.org/"),
        *("http://example.org\\@evil.example/", "http://example.org:99999/", "http://example.org:x/", "http://[::1"),
        *("http://-example.org/", "http://exam\nple.org/", "http://a%2fb/", "http://" + "a" * 300 + ".org/"),
        "http://example.org/" + "x" * 2000,
    ],
)
def test_what_is_no_address_of_a_page_is_refused(address: str) -> None:
    with pytest.raises(UnusableAddress):
        canonicalize(address)


@given(st.text(max_size=80))
def test_no_link_breaks_the_reader_and_what_it_leads_to_is_stable(text: str) -> None:
    found = link(text, "http://example.org/a/b")
    assert found is None or canonicalize(found) == found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://example.org/a", "https://www.example.org/a/", True),
        ("http://example.org/", "http://example.org/index.html", True),
        ("http://example.org/?a=1&b=2", "http://example.org/?b=2&a=1", True),
        ("http://example.org/a", "http://example.org/A", False),
        ("http://example.org/?a=1", "http://example.org/?a=2", False),
        ("http://example.org/", "http://docs.example.org/", False),
        ("http://example.org/", "http://example.org:8080/", False),
    ],
)
def test_addresses_that_are_most_likely_one_page_are_alike(one: str, other: str, same: bool) -> None:
    assert (make_likeness_key(one) == make_likeness_key(other)) is same


def test_readers_see_an_address_in_their_own_letters() -> None:
    assert format_address("https://xn--bcher-kva.example/%C3%A9?x=1") == "bücher.example/é?x=1"


RULES = """
# for everybody
User-agent: *
Disallow: /private
Allow: /private/open
Disallow: /*.php$
Disallow: /search*q=
Crawl-delay: 2.5

User-agent: Pustaka
User-agent: otherbot
Disallow: /notus
Sitemap: https://example.org/map.xml

user-agent: pustaka
Disallow: /second
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *(("/", True), ("/private", False), ("/private/x", False), ("/private/open/x", True), ("/a.php", False)),
        *(("/a.php?x", True), ("/search?q=1", False), ("/search?w=1", True), ("/notus", True), ("/%70rivate", False)),
    ],
)
def test_the_longest_rule_for_everybody_decides(path: str, allowed: bool) -> None:
    robots = read_robots(RULES.encode(), "somebot")
    assert robots.allows(path) is allowed
    assert robots.delay_s == 2.5


def test_rules_by_name_are_put_together_and_take_the_place_of_those_for_all() -> None:
    robots = read_robots(RULES.replace("\n", "\r\n").encode(), "PUSTAKA")
    assert [robots.allows(path) for path in ("/private", "/notus", "/second/x")] == [True, False, False]
    assert (robots.delay_s, robots.sitemaps) == (None, ("https://example.org/map.xml",))


def test_odd_files_allow_what_they_do_not_forbid() -> None:
    for data in (b"", b"\xff\xfe\x00garbage", b"Disallow: /", b"User-agent: *\nDisallow:\n", b"<html>not here</html>"):
        assert read_robots(data, "pustaka").allows("/")
    assert not read_robots(b"\xef\xbb\xbfUser-agent: *\nDisallow: /", "pustaka").allows("/a")
    assert not Robots((("/a*", False), ("/a", True))).allows("/ab")


def test_a_huge_file_is_read_to_its_limit() -> None:
    head = b"User-agent: *\nDisallow: /early\n"
    late = head + b"#" * MAX_BYTES + b"\nDisallow: /late\n"
    assert [read_robots(late, "pustaka").allows(path) for path in ("/early", "/late")] == [False, True]


@pytest.mark.parametrize(
    "lines",
    [
        b"User-agent: *\n" * 3_000 + b"Allow: /a\n" * 3_000,
        b"User-agent: *\nUser-agent: pustaka\n" * 1_500 + b"Disallow: /a\n" * 3_000,
        b"User-agent: *\nAllow: /a\n" * 15_000,
        b"".join(b"User-agent: bot%s\n" % name.encode() for name in map("x".__mul__, range(900)))
        + b"Allow: /a\n" * 3_000,
        b"Sitemap: https://example.org/a\n" * 15_000,
    ],
)
def test_a_file_takes_no_more_than_its_lines(lines: bytes) -> None:
    tracemalloc.start()
    try:
        took_s = cpu_s(lambda: read_robots(lines, "Pustaka"))
        assert tracemalloc.get_traced_memory()[1] < 20 * len(lines)
    finally:
        tracemalloc.stop()
    assert took_s < 3


def test_a_group_that_is_named_twice_has_its_rules_once() -> None:
    robots = read_robots(b"User-agent: Pustaka\nUser-agent: *\nUser-agent: pustaka\nDisallow: /a\n", "Pustaka")
    assert robots.rules == (("/a", False),)
    assert len(read_robots(b"User-agent: *\n" + b"Disallow: /a\n" * (MAX_RULES + 1), "x").rules) == MAX_RULES


def test_no_pattern_takes_long() -> None:
    robots = Robots((("/" + "*a" * 1_000 + "$", False),))
    assert robots.allows("/" + "a" * 999 + "b")
    assert not robots.allows("/" + "a" * 1_000)


def test_sitemaps_of_every_form_are_read() -> None:
    xml = b"<?xml version='1.0'?><urlset><url><loc> http://a.example/?x=1&amp;y=2 </loc></url>"
    assert read_sitemap(xml).addresses == ("http://a.example/?x=1&y=2",)
    assert read_sitemap(b"<loc><![CDATA[http://a.example/c]]></loc>").addresses == ("http://a.example/c",)
    assert read_sitemap(b"http://a.example/1\nhttp://a.example/2\n").addresses == (
        "http://a.example/1",
        "http://a.example/2",
    )
    assert read_sitemap(b"<image:loc>http://a.example/i.png</image:loc>").addresses == ()
    assert read_sitemap(gzip.compress(b"<loc>http://a.example/</loc>")).addresses == ()


def test_sitemaps_that_name_each_other_end_and_their_number_is_limited() -> None:
    def fetch(at: str) -> bytes:
        number = int(at.rpartition("/")[2])
        nested = f"<loc>http://a.example/map/{number + 1}</loc><loc>http://a.example/map/0</loc>"
        if number % 2 == 0:
            return f"<sitemapindex>{nested}</sitemapindex>".encode()
        return f"<urlset><loc>http://a.example/page/{number}</loc><loc>http://b.example/</loc></urlset>".encode()

    def wanted(address: str) -> bool:
        return address.startswith("http://a.example/")

    found = list(iter_addresses(["http://a.example/map/0"], fetch, admits=wanted, limit=10))
    assert found == ["http://a.example/page/1"]
    many = b"".join(b"<loc>http://a.example/%d</loc>" % number for number in range(1_000))
    assert len(list(iter_addresses(["http://a.example/map/0"], lambda at: many, admits=wanted, limit=7))) == 7
