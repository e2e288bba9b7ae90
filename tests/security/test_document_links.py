"""Links that open documents without a key: how much they open, for how long, and for which version."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import httpx
import pytest

from app import create_app
from config import load_settings
from tests.ingestion.files import pdf
from tests.service import Service, ask, await_knowledge, one_document

Json = dict[str, Any]
FILLER = "Nothing in this paragraph is of any use to anybody who reads it. " * 12


@dataclass(frozen=True)
class Shelf:
    """A dataset of a tenant with documents about a word that nobody else has."""

    service: Service
    client: httpx.Client
    path: str

    def add(self, name: str, data: bytes, external_id: str = "") -> str:
        """The id of a document, once it has been read."""
        fields = {"external_ids": external_id} if external_id else {}
        sent = self.client.post(f"{self.path}/documents/upload", files=[("files", (name, data))], data=fields)
        [job] = sent.json()["jobs"]
        self.service.wait_for(lambda: self.client.get(job["status_url"]).json()["status"] == "completed")
        return str(job["document_id"])

    def set_mode(self, mode: str | None) -> None:
        changed = self.client.patch(self.path, json={"document_links": mode})
        assert (changed.status_code, changed.json()["document_links"]) == (200, mode), changed.text

    def ask(self, question: str) -> str:
        """A conversation in which the documents have answered it."""
        conversation_id = uuid4().hex
        self.service.wait_for(lambda: ask(self.client, question, conversation_id).json()["citations"])
        return conversation_id

    def link(self, conversation_id: str) -> str | None:
        """The link of the last answer's first citation, as the conversation has it when it is read now."""
        told = self.client.get(f"/v1/conversations/{conversation_id}").json()["messages"][-1]
        link: str | None = told["citations"][0]["link"]
        return link

    def good_link(self, conversation_id: str) -> str:
        """One that opens; what a process knows of a dataset that another one has changed may be 10 s old."""
        found: list[str] = []

        def find() -> bool:
            found[:] = [self.link(conversation_id) or ""]
            return bool(found[0]) and opened(found[0]).status_code == 200

        self.service.wait_for(find)
        return found[0]


@pytest.fixture
def word() -> str:
    return f"lantern{uuid4().hex[:8]}"


@pytest.fixture
def shelf(service: Service, client: httpx.Client) -> Iterator[Shelf]:
    yield from made_shelf(service, client)


@pytest.fixture
def their_shelf(service: Service, other_client: httpx.Client) -> Iterator[Shelf]:
    yield from made_shelf(service, other_client)


def made_shelf(service: Service, client: httpx.Client) -> Iterator[Shelf]:
    made = client.post("/v1/tenant/datasets", json={"name": f"Links {uuid4().hex}"}).json()["id"]
    yield Shelf(service, client, f"/v1/tenant/datasets/{made}")
    client.delete(f"/v1/tenant/datasets/{made}")


def text_about(word: str) -> bytes:
    """A document with its answer in the middle, and a secret at either end."""
    fact = f"The {word} of the harbour is lit at nineteen hundred."
    return f"Alpha secret {word}.\n\n{FILLER}\n\n{FILLER}\n\n{fact}\n\n{FILLER}\n\n{FILLER}\n\nOmega secret.".encode()


def opened(address: str, **changed: str | int) -> httpx.Response:
    """What a browser without a key gets, with some parameters *changed*."""
    parts = urlsplit(address)
    query = {**dict(parse_qsl(parts.query)), **{name: str(value) for name, value in changed.items()}}
    return httpx.get(parts._replace(query=urlencode(query), fragment="").geturl(), trust_env=False)


def sibling(link: str, name: str) -> str:
    """The address of something else of the document that a link opens."""
    parts = urlsplit(link)
    query = {key: value for key, value in parse_qsl(parts.query) if name == "view" or key in ("version", "token")}
    return parts._replace(path=parts.path.replace("/view", f"/{name}"), query=urlencode(query)).geturl()


def refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (403, "urn:pustaka:problem:link-refused")


def test_where_links_are_off_there_are_none_and_former_ones_open_nothing(shelf: Shelf, word: str) -> None:
    document_id, talk = shelf.add("lantern.txt", text_about(word)), shelf.ask(f"When is the {word} of the harbour lit?")
    link = shelf.good_link(talk)
    shelf.set_mode("off")
    for name in ("view", "original"):
        assert refused(opened(sibling(link, name))), name
        assert shelf.client.get(f"/v1/documents/{document_id}/{name}").status_code == 200
        assert shelf.client.get(sibling(link, name)).status_code == 200  # the key that comes with it opens it
    page = shelf.client.get(f"/v1/documents/{document_id}/view")
    assert "token=" not in page.text
    assert shelf.link(talk) is None


def test_a_link_to_a_quote_shows_it_with_some_context_and_nothing_else(shelf: Shelf, word: str) -> None:
    shelf.add("lantern.txt", text_about(word))
    shelf.set_mode("quote")
    link = shelf.good_link(shelf.ask(f"When is the {word} of the harbour lit?"))
    ways = [{}, {"start": 0, "end": 99_999}, {"at": 0}, {"at": 1}, {"page": 1}, {"start": 0}, {"end": 99_999}]
    for changed in ways:
        page = opened(link, **changed)  # type: ignore[arg-type] # of these alone
        assert page.status_code == 200
        assert f"{word} of the harbour is lit" in " ".join(re.sub(r"<[^>]+>", "", page.text).split())
        assert "anybody who reads it" in page.text
        assert not re.search(r"secret|original\?|pages/|rel=\"(next|prev)\"", page.text), changed
        assert len(re.sub(r"<style>.*</style>", "", page.text, flags=re.DOTALL)) < 4_000
    assert refused(opened(sibling(link, "original")))


def test_what_an_answer_does_not_quote_is_linked_only_where_links_open_documents(
    shelf: Shelf, their_shelf: Shelf, word: str
) -> None:
    question, rule = f"What does the {word} cost a visit?", f"The {word} of the board is a secret. "
    told = "\n\n".join([f"The {word} costs 20 rupiah a visit.", *(f"# Rule {one}\n\n{rule * 20}" for one in range(3))])
    read = {}
    for one in (shelf, their_shelf):
        document_id = one.add("lantern.md", told.encode())
        read[one.path] = one.ask(question), document_id
        one.good_link(read[one.path][0])
    shelf.set_mode("quote")
    shelf.good_link(read[shelf.path][0])
    quoted, unquoted = list_traced(shelf, *read[shelf.path])
    assert (len(quoted), bool(unquoted), any(unquoted)) == (1, True, False)
    page = opened(quoted[0] or "").text
    assert "costs 20 rupiah" in " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "Rule 2" not in page
    for links in list_traced(their_shelf, *read[their_shelf.path]):
        assert all("Rule 2" in opened(link or "").text for link in links), "theirs open documents"
    shelf.set_mode("off")
    assert not any(link for links in list_traced(shelf, *read[shelf.path]) for link in links)


def list_traced(shelf: Shelf, conversation_id: str, document_id: str) -> tuple[list[str | None], list[str | None]]:
    """The links of the passages of a document that the last answer quotes, and of those that it does not."""
    path = f"/v1/conversations/{conversation_id}"
    run_id = shelf.client.get(path).json()["messages"][-1]["run_id"]
    passages = shelf.client.get(f"{path}/answers/{run_id}/trace").json()["passages"]
    found = [one for one in passages if one["document_id"] == document_id]
    quoted, unquoted = ([one["link"] for one in found if one["is_cited"] is side] for side in (True, False))
    return quoted, unquoted


def test_a_link_to_a_quote_in_a_pdf_gives_no_picture_of_its_page(shelf: Shelf, word: str) -> None:
    pages = [f"The {word} of the harbour is lit at nineteen hundred.", f"{FILLER} Omega secret."]
    document_id = shelf.add("lantern.pdf", pdf(pages))
    talk = shelf.ask(f"When is the {word} of the harbour lit?")
    full = shelf.good_link(talk)
    assert opened(sibling(full, "pages/1.png")).headers["content-type"] == "image/png"
    shelf.set_mode("quote")
    for link in (full, shelf.good_link(talk)):
        page = opened(link, page=2)
        assert (page.status_code, "nineteen hundred" in page.text, "Omega" in page.text) == (200, True, False)
        assert "<img" not in page.text
        for name in ("pages/1.png", "pages/2.png", "original"):
            assert refused(opened(sibling(link, name))), name
    assert shelf.client.get(f"/v1/documents/{document_id}/pages/1.png").status_code == 200


def test_a_link_never_opens_more_than_when_it_was_made(shelf: Shelf, word: str) -> None:
    shelf.add("lantern.txt", text_about(word))
    talk = shelf.ask(f"When is the {word} of the harbour lit?")
    full = shelf.good_link(talk)
    shelf.set_mode("quote")
    quote = shelf.good_link(talk)
    assert "secret" not in opened(full).text  # nor more than links open now
    shelf.set_mode(None)
    assert "secret" in opened(full).text
    assert "secret" not in opened(quote).text
    assert refused(opened(sibling(quote, "original")))
    token = dict(parse_qsl(urlsplit(quote).query))["token"]
    raised = ".".join([*token.split(".")[:2], "f" + token.split(".")[2][1:], token.split(".")[3]])
    assert refused(opened(quote, token=raised))


@pytest.mark.soak
@pytest.mark.long
def test_revoked_links_open_nothing_from_then_on_and_new_ones_do(shelf: Shelf, their_shelf: Shelf, word: str) -> None:
    document_id, question = shelf.add("lantern.txt", text_about(word)), f"When is the {word} of the harbour lit?"
    their_shelf.add("lantern.txt", text_about(word))
    talk, theirs = shelf.ask(question), their_shelf.good_link(their_shelf.ask(question))
    dataset_id = shelf.path.rsplit("/", 1)[1]
    paths = (f"/v1/tenant/documents/{document_id}/links", f"{shelf.path}/links", "/v1/tenant/links")
    for path in paths:
        link = shelf.good_link(talk)
        if path != paths[-1]:
            assert their_shelf.client.delete(path).status_code == 404
        assert opened(link).status_code == 200
        assert shelf.client.delete(path).status_code == 204
        assert_revoked(link)
    # A process of its own in all but name: it shares the database with the service, and nothing else.
    flask = create_app(load_settings(_env_file=None, data_dir=shelf.service.data_dir)).test_cli_runner()
    for options in (["--document", document_id], ["--dataset", dataset_id], ["--yes"]):
        link = shelf.good_link(talk)
        done = flask.invoke(args=["links", "revoke", *options])
        assert (done.exit_code, done.output) == (0, "Revoked.\n")
        assert_revoked(link)
    assert opened(theirs).status_code == 200
    shelf.service.new_key("acme")
    for options in (["--document", document_id], ["--dataset", dataset_id]):
        assert flask.invoke(args=["links", "revoke", "--tenant", "acme", *options]).exit_code == 1


def assert_revoked(link: str) -> None:
    for name in ("view", "original"):
        answer = opened(sibling(link, name))
        assert refused(answer)
        assert "revoked" in answer.json()["detail"]


@pytest.mark.long
def test_a_link_does_not_lead_to_a_newer_version(shelf: Shelf, word: str) -> None:
    document_id = shelf.add("lantern.txt", text_about(word), "lantern")
    link = shelf.good_link(shelf.ask(f"When is the {word} of the harbour lit?"))
    for number in range(2, 7):
        shelf.add("lantern.txt", f"Version {number} says nothing of it.".encode(), "lantern")
        shelf.service.wait_for(
            lambda number=number: shelf.client.get(f"/v1/tenant/documents/{document_id}").json()["version"] == number
        )
        assert refused(opened(link, version=number))
        page = opened(link)
        assert "says nothing of it" not in page.text
        addresses = [unescape(one) for one in re.findall(r'href="([^"]+token=[^"]+)"', page.text)]
        assert {dict(parse_qsl(urlsplit(one).query))["version"] for one in addresses} <= {"1"}
        if page.status_code == 200:
            assert "A newer\none exists." in page.text
    assert page.status_code == 410  # too old to be kept
    by_key = shelf.client.get(f"/v1/documents/{document_id}/view", params={"version": 5}).text
    assert "read version 6" in by_key


def test_the_setting_holds_where_a_dataset_says_nothing(tmp_path: Path) -> None:
    folder, question = one_document(tmp_path), "How much does a dormitory room cost?"
    with Service(tmp_path / "data", **folder, DOCUMENT_LINKS="off") as service, service.client() as client:
        await_knowledge(service, question)
        assert ask(client, question, "setting").json()["citations"][0]["link"] is None
        [default] = client.get("/v1/tenant/datasets").json()["datasets"]
        shelf = Shelf(service, client, f"/v1/tenant/datasets/{default['id']}")
        shelf.set_mode("quote")
        link = shelf.good_link("setting")
        assert "850,000" in opened(link).text
        assert refused(opened(sibling(link, "original")))
        shelf.set_mode(None)
        assert refused(opened(link))


@pytest.mark.parametrize("mode", ["all", "", 1, []])
def test_what_is_no_mode_is_refused(shelf: Shelf, mode: object) -> None:
    answer = shelf.client.patch(shelf.path, json={"document_links": mode})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "document_links")
