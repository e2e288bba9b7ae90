"""Signing in to the chat page by OpenID Connect, in a real browser, with a provider of ours."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from config import SettingsError, load_settings
from tests.clients.api_stub import ApiStub
from tests.clients.browser_page import ask, expect_answers, questions, running_page, shelf
from tests.clients.page_socket import opened_page
from tests.clients.shared_stub import api, shared_api
from tests.fakes.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, serve_provider
from tests.service import free_port

__all__ = ["api", "shared_api"]

pytestmark = [pytest.mark.browser, pytest.mark.long]
FAILED = "Sign-in does not work at the moment. Try again later."


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with serve_provider() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both pages write their log."""
    return tmp_path_factory.mktemp("pages")


def page_with(login: str, folder: Path, api: ApiStub, provider: OidcProvider) -> Iterator[str]:
    port = free_port()
    options = {
        "CHAT_LOGIN": login,
        "CHAT_URL": f"http://localhost:{port}/",
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": CLIENT_ID,
        "OIDC_CLIENT_SECRET": CLIENT_SECRET,
    }
    with running_page(folder, api.url, port=port, options=options) as address:
        yield address


@pytest.fixture(scope="module")
def required_url(folder: Path, shared_api: ApiStub, provider: OidcProvider) -> Iterator[str]:
    yield from page_with("required", folder, shared_api, provider)


@pytest.fixture(scope="module")
def optional_url(folder: Path, shared_api: ApiStub, provider: OidcProvider) -> Iterator[str]:
    yield from page_with("optional", folder, shared_api, provider)


@pytest.fixture
def browser(chromium: Browser) -> Iterator[BrowserContext]:
    with chromium.new_context() as context:
        yield context


def sign_in(tab: Page, url: str, provider: OidcProvider, user: str) -> None:
    """From the page to the provider and back."""
    provider.redirect_uri = f"{url}/oauth2callback"
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_role("link", name=user, exact=True).click()


def visitor(api: ApiStub) -> str:
    """Who has asked last."""
    return (api.visitors[-1][0] or "").split(".")[1]


def test_where_it_is_required_nobody_is_answered_without_signing_in(
    browser: BrowserContext, required_url: str, api: ApiStub, provider: OidcProvider
) -> None:
    tab = browser.new_page()
    tab.goto(f"{required_url}/?c=web-{'x' * 22}")
    expect(tab.get_by_text("Sign in to ask what you would like to know.")).to_be_visible()
    expect(tab.get_by_placeholder("Ask a question")).to_have_count(0)
    with opened_page(required_url, query=f"c=web-{'x' * 22}") as page:
        assert "Sign in" in page.texts
    assert api.visitors == []
    sign_in(tab, required_url, provider, "ada")
    ask(tab)
    expect_answers(tab)
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
    tab.reload()
    expect_answers(tab)


def test_who_thinks_better_of_it_is_where_they_were(
    browser: BrowserContext, required_url: str, provider: OidcProvider, api: ApiStub
) -> None:
    tab = browser.new_page()
    tab.goto(required_url)
    sign_in(tab, required_url, provider, "no")
    expect(tab.get_by_text("Sign in to ask what you would like to know.")).to_be_visible()
    expect(tab.get_by_text(FAILED)).to_have_count(0)


def test_a_provider_that_is_away_is_told_on_the_page_which_goes_on(
    browser: BrowserContext, optional_url: str, provider: OidcProvider, api: ApiStub
) -> None:
    tab = browser.new_page()
    tab.goto(optional_url)
    provider.is_away = True
    try:
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_text(FAILED)).to_be_visible()
    finally:
        provider.is_away = False
    expect(tab).to_have_url(f"{optional_url}/")
    ask(tab)
    expect_answers(tab)
    expect(tab.get_by_text(FAILED)).to_have_count(0)


@pytest.mark.parametrize("wrong", [{"aud": "another"}, {"nonce": "another"}, {"iss": "http://another"}, {"exp": 1}])
def test_a_token_that_is_not_for_this_page_signs_nobody_in(
    browser: BrowserContext, required_url: str, provider: OidcProvider, wrong: dict[str, object]
) -> None:
    provider.claims = wrong
    try:
        tab = browser.new_page()
        tab.goto(required_url)
        sign_in(tab, required_url, provider, "ada")
        expect(tab.get_by_text("Sign in to ask what you would like to know.")).to_be_visible()
        expect(tab.get_by_text(FAILED)).to_be_visible()
        assert [cookie for cookie in browser.cookies() if cookie.get("name") == "_streamlit_user"] == []
    finally:
        provider.claims = {}


def test_the_same_user_is_one_visitor_in_every_browser_and_another_user_another(
    chromium: Browser, optional_url: str, api: ApiStub, provider: OidcProvider
) -> None:
    seen: list[str] = []
    for user in ("ada", "ada", "grace"):
        with chromium.new_context() as context:
            tab = context.new_page()
            tab.goto(optional_url)
            sign_in(tab, optional_url, provider, user)
            expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
            ask(tab, f"of {user}")
            expect_answers(tab)
            seen.append(visitor(api))
    assert seen[0] == seen[1] != seen[2]


def test_signing_out_ends_it_at_the_provider_too_and_shows_nothing_to_who_comes_next(
    browser: BrowserContext, optional_url: str, api: ApiStub, provider: OidcProvider
) -> None:
    tab = browser.new_page()
    tab.goto(optional_url)
    ask(tab, "of nobody")
    expect_answers(tab)
    unknown = visitor(api)
    sign_in(tab, optional_url, provider, "ada")
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
    expect(tab.get_by_text("Ada *Lovelace*", exact=True)).to_be_visible()
    expect(questions(tab)).to_have_count(0)
    expect(shelf(tab)).to_have_count(0)
    ask(tab, "of ada")
    expect_answers(tab)
    assert visitor(api) != unknown
    expect(shelf(tab)).to_have_text(["of ada"])
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    expect(questions(tab)).to_have_count(0)
    expect(shelf(tab)).to_have_text(["of nobody"])
    expect(tab.get_by_text(FAILED)).to_have_count(0)
    assert provider.ended == [f"{optional_url}/oauth2callback"]
    ask(tab, "of nobody again")
    expect_answers(tab)
    assert visitor(api) == unknown


def test_what_was_typed_is_not_there_for_who_comes_next_in_a_tab(
    browser: BrowserContext, optional_url: str, api: ApiStub, provider: OidcProvider
) -> None:
    tab = browser.new_page()
    tab.goto(optional_url)
    box, stored = tab.get_by_test_id("stChatInputTextArea"), "JSON.stringify({...sessionStorage})"
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    box.fill("typed by nobody")
    sign_in(tab, optional_url, provider, "ada")
    expect(tab.get_by_role("button", name="Sign out")).to_be_visible()
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    expect(box).to_have_value("")
    box.fill("typed by ada")
    tab.reload()
    expect(box).to_have_value("typed by ada")
    assert "typed by nobody" not in tab.evaluate(stored)
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("button", name="Sign in")).to_be_visible()
    expect(tab.locator("#pustaka-shell")).to_have_count(0)
    expect(box).to_have_value("")
    assert "typed by ada" not in tab.evaluate(stored)
    assert 'data-drafts="none"' in httpx.get(optional_url).text  # what comes first does not know who has come


def test_a_cookie_of_ones_own_making_signs_nobody_in(browser: BrowserContext, required_url: str) -> None:
    forged = json.dumps({"is_logged_in": True, "sub": "ada", "origin": required_url})
    browser.add_cookies([{"name": "_streamlit_user", "value": forged, "url": required_url}])
    tab = browser.new_page()
    tab.goto(required_url)
    expect(tab.get_by_text("Sign in to ask what you would like to know.")).to_be_visible()


def test_the_providers_secret_is_nowhere_on_the_disk_and_in_no_page(
    required_url: str, folder: Path, provider: OidcProvider
) -> None:
    assert httpx.get(required_url).status_code == 200
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert written
    assert all(CLIENT_SECRET.encode() not in path.read_bytes() for path in written)


@pytest.mark.parametrize("missing", ["CHAT_URL", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"])
def test_a_setting_that_is_missing_stops_the_start_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = {
        "CHAT_LOGIN": "required",
        "CHAT_URL": "https://chat.example.org",
        "OIDC_ISSUER": "https://id.example.org",
        "OIDC_CLIENT_ID": "x",
        "OIDC_CLIENT_SECRET": "y",
    }
    for name, value in whole.items():
        monkeypatch.setenv(name, value)
    load_settings()
    monkeypatch.delenv(missing)
    with pytest.raises(SettingsError, match=f"CHAT_LOGIN=required needs {missing}"):
        load_settings()
