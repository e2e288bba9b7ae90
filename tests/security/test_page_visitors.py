"""The chat page gives every visitor a token of their own, and tells the API where they come from."""

import re
import time
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiRefused
from clients.run_events import Answer
from clients.visitors import LIFETIME_S, Visitor, make_token, make_user_token, renew_token, sign_visitor
from tests.clients.api_stub import ACME_KEY, ApiStub
from tests.clients.browser_page import running_page
from tests.clients.page_socket import opened_page
from tests.clients.shared_stub import api, shared_api
from tests.service import ROOT

__all__ = ["api", "shared_api"]

KEY, COOKIE = ACME_KEY, "pustaka_visitor"
VISITOR = "a" * 22
PROXIED = {"X-Forwarded-For": "192.0.2.1, 203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def url(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with no proxy before it."""
    with running_page(tmp_path_factory.mktemp("page"), shared_api.url, api_key=KEY) as address:
        yield address


@pytest.fixture(scope="module")
def url_behind_a_proxy(shared_api: ApiStub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that believes its proxy, which is this test."""
    folder = tmp_path_factory.mktemp("proxied")
    with running_page(folder, shared_api.url, api_key=KEY, proxies=["127.0.0.1"]) as address:
        yield address


def given(set_cookie: str) -> str:
    """The token that a browser is given."""
    [(_, cookie)] = SimpleCookie(set_cookie).items()
    return cookie.value


def test_the_example_in_the_documentation_is_what_the_page_makes() -> None:
    text = Path(ROOT / "docs" / "visitors.md").read_text()
    example = dict(re.findall(r"^    (CHAT_PAGE_KEY|id|expiry|token) +(\S+)", text, re.MULTILINE))
    assert sign_visitor(example["CHAT_PAGE_KEY"], example["id"], int(example["expiry"])) == example["token"]


def test_a_browser_is_given_a_token_that_no_script_can_read_and_keeps_it(api: ApiStub, url: str) -> None:
    with httpx.Client() as browser:
        cookie = browser.get(url).headers["set-cookie"]
        assert renew_token(KEY, given(cookie)) == given(cookie)
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert f"Max-Age={LIFETIME_S}" in cookie
        again = browser.get(url)
        assert "set-cookie" not in again.headers
        header = {"Cookie": f"other=1; {COOKIE}={browser.cookies[COOKIE]}"}
    with opened_page(url, header) as page:
        assert page.set_cookies == []
        page.ask("What does a room cost?")
    assert {token for token, _ in api.visitors} == {given(cookie)}


def test_every_call_of_a_visitor_names_the_visitor(api: ApiStub) -> None:
    token = make_token(KEY)
    with ApiClient(ApiAddress(url=api.url, key=ACME_KEY)) as client:
        asking = client.for_visitor(Visitor(token, "203.0.113.9"))
        # Read to its end: a stream that is left is closed by the garbage collector, at worst within the pool's lock.
        [answer] = [each for each in asking.ask_stream("c", "What?") if isinstance(each, Answer)]
        run_id = answer.run_id or ""
        list(asking.follow(run_id))
        asking.cancel(run_id)
        with pytest.raises(ApiRefused):  # nothing waits
            asking.resume(run_id, "call-1", "approve")
        asking.is_waiting(run_id, "call-1")
        asking.is_cancelled(run_id)
        asking.conversation("c")
        api.behaviour.lists = True
        asking.conversations()
        asking.rename("c", "A title")
        asking.rate("c", run_id, "up")
        asking.take_rating_back("c", run_id)
        asking.delete("c", permanent=False)
        asking.restore("c")
        asking.delete("c")
        asking.topics("")
        asking.download_rows("c")
        with pytest.raises(ApiRefused):  # the stub takes none
            asking.send_form("/v1/conversations/c/files", {"files": ("a.txt", b"a")}, key="k", timeout_s=5)
        api.behaviour.cuts = 1
        list(asking.ask_stream("c", "And when?"))  # which connects again
    assert api.visitors == [(token, "203.0.113.9")] * 19
    others = {"call", "close", "for_visitor", "health", "with_key"}  # which is for calls in no visitor's name
    calls = {name for name in vars(ApiClient) if not name.startswith("_")} - others
    assert calls == {
        "ask_stream",
        "send_form",
        "follow",
        "cancel",
        "conversation",
        "rate",
        "take_rating_back",
        "delete",
        "download",
        "download_rows",
        "conversations",
        "rename",
        "restore",
        "resume",
        "is_cancelled",
        "is_waiting",
        "topics",
    }


def test_two_visitors_are_told_apart_in_all_they_do(api: ApiStub, url: str) -> None:
    for number in range(3):
        with opened_page(url) as page:
            page.ask("What does a room cost?")
            page.ask("And when is it due?")
        if not number:  # the first asks for what is the same for all
            api.visitors.clear()
    one, other = sorted({token or "" for token, _ in api.visitors})
    assert renew_token(KEY, one)
    assert renew_token(KEY, other)
    assert [len([token for token, _ in api.visitors if token == each]) for each in (one, other)] == [5, 5]


@pytest.mark.parametrize(
    "forged",
    [
        "x",
        "",
        f"v1.{VISITOR}.{int(time.time()) + 999}.{'A' * 43}",
        sign_visitor("another-key-of-a-page", VISITOR, int(time.time()) + 999),
        sign_visitor(KEY, VISITOR, int(time.time()) - 1),
        sign_visitor(KEY, VISITOR, int(time.time()) + 999)[:-1] + "é",
        f'"{sign_visitor(KEY, VISITOR, int(time.time()) + 999)}x"',
        "v1." + "a" * 5000,
    ],
    # The time is in them: without names, each process of a run would call them something else.
    ids=["short", "empty", "no-signature", "another-key", "expired", "no-ascii", "quoted", "long"],
)
def test_a_forged_token_is_replaced_before_the_page_sees_it(api: ApiStub, url: str, forged: str) -> None:
    header = {"Cookie": f"{COOKIE}={forged}"}
    asked = httpx.get(url, headers={"Cookie": header["Cookie"].encode()})
    assert renew_token(KEY, given(asked.headers["set-cookie"]))
    if not forged.isascii():
        return
    with opened_page(url, header) as page:
        [cookie] = page.set_cookies
        page.ask("What does a room cost?")
    assert {token for token, _ in api.visitors} == {given(cookie)}
    assert VISITOR not in given(cookie)


def test_a_token_is_renewed_for_the_same_visitor_when_half_its_time_is_over(url: str) -> None:
    old = sign_visitor(KEY, VISITOR, int(time.time()) + LIFETIME_S // 2 - 10)
    cookie = httpx.get(url, headers={"Cookie": f"{COOKIE}={old}"}).headers["set-cookie"]
    assert given(cookie).split(".")[1] == VISITOR
    assert int(given(cookie).split(".")[2]) > time.time() + LIFETIME_S - 60


def test_who_signs_in_is_the_same_visitor_in_every_browser_and_nobody_else() -> None:
    identities = {make_user_token(KEY, issuer, name).split(".")[1] for issuer in ("a", "b") for name in ("c", "d")}
    assert len(identities) == 4
    assert make_user_token(KEY, "a", "c").split(".")[1] in identities
    assert all(len(identity) != len(make_token(KEY).split(".")[1]) for identity in identities)


def test_what_a_visitor_says_about_the_way_is_not_believed(api: ApiStub, url: str) -> None:
    with opened_page(url, {**PROXIED, "X-Visitor-Address": "192.0.2.2", "X-Visitor-Id": "x"}) as page:
        page.ask("What does a room cost?")
        assert "Secure" not in page.set_cookies[0]
    assert {address for _, address in api.visitors} == {None}  # this machine's own
    assert "x" not in {token for token, _ in api.visitors}


def test_the_proxys_word_about_the_visitors_address_reaches_the_api(api: ApiStub, url_behind_a_proxy: str) -> None:
    with opened_page(url_behind_a_proxy, PROXIED) as page:
        page.ask("What does a room cost?")
        [cookie] = page.set_cookies
    assert {address for _, address in api.visitors} == {"203.0.113.9"}
    assert cookie.startswith(f"__Host-{COOKIE}=")  # no neighbour of the same domain can set it
    assert "; Secure" in cookie
    with opened_page(url_behind_a_proxy, {**PROXIED, "Cookie": cookie.partition(";")[0]}) as page:
        assert page.set_cookies == []
    with opened_page(url_behind_a_proxy, {**PROXIED, "Cookie": f"{COOKIE}={given(cookie)}"}) as page:
        assert page.set_cookies != []
