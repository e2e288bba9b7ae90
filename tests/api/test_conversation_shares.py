"""Links that show a conversation to whoever has them; two tenants use the same ids of conversations."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import httpx
import pytest
from redis import Redis

from bootstrap.valkey import read_publication
from domain.db import Database
from domain.db_opening import open_database
from domain.models import Conversation, ConversationShare, Turn, now
from domain.scoping import select_everywhere, update_everywhere
from tests.service import Service, ask, await_knowledge, one_document

WEAK = "When does the dormitory open?"
QUESTION, LATER = "How much does a dormitory room cost?", "Is laundry included?"
HOSTILE = "What is <script>alert(1)</script> [x](https://evil.example) ![y](https://evil.example/y.png)?"
Json = dict[str, Any]
Tenants = list[httpx.Client]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("sharing")
    variables = {"RATE_LIMIT_ENABLED": "false", "CONVERSATION_SHARING": "sources", "SHARE_DAYS": "2"}
    with Service(folder / "data", **one_document(folder), **variables).watched() as running:
        await_knowledge(running, QUESTION)
        yield running


@pytest.fixture(scope="module")
def acme_key(service: Service) -> str:
    return service.new_key("acme", scopes=["all"])


@pytest.fixture
def tenants(service: Service, acme_key: str) -> Iterator[Tenants]:
    """The default tenant, which has a document, and acme, which has none."""
    with service.client() as default, service.client(acme_key) as acme:
        yield [default, acme]


@pytest.fixture
def anybody(service: Service) -> Iterator[httpx.Client]:
    """Whoever was given a link: without a key."""
    with service.client("", Accept="text/html") as client:
        yield client


@pytest.fixture
def records(service: Service) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")) as database:
        yield database


def share(client: httpx.Client, conversation_id: str, **body: object) -> Json:
    made = client.post(f"/v1/conversations/{conversation_id}/shares", json=body)
    assert made.status_code == 201, made.text
    shown: Json = made.json()
    path = f"/v1/conversations/{conversation_id}/shares/{shown['id']}"
    assert made.headers["Location"] == path
    assert client.get(path).json() == {name: value for name, value in shown.items() if name != "url"}
    return shown


def test_the_terms_say_that_links_may_open_documents(tenants: Tenants) -> None:
    terms = tenants[0].get("/v1/terms").json()
    assert (terms["are_shareable"], terms["are_sources_shared"]) == (True, True)


def test_a_link_calls_passages_that_may_not_answer_the_closest_ones(tenants: Tenants, anybody: httpx.Client) -> None:
    for question, label in ((QUESTION, "Sources"), (WEAK, "Closest passages")):
        conversation = f"labelled-{label[:7]}"
        answer = ask(tenants[0], question, conversation).json()
        assert answer["confidence"] == ("high" if label == "Sources" else "low"), answer
        assert f">{label}</h3>" in anybody.get(share(tenants[0], conversation)["url"]).text


def test_a_link_shows_a_conversation_as_it_was_to_whoever_has_it(
    tenants: Tenants, anybody: httpx.Client, records: Database
) -> None:
    default, acme = tenants
    links = []
    for client in tenants:
        for question in (QUESTION, HOSTILE):
            ask(client, question, "shared")
        links.append(share(client, "shared")["url"])
        ask(client, LATER, "shared")
    said = default.get("/v1/conversations/shared").json()["messages"]
    quote = said[1]["citations"][0]["quote"]
    shown, other = (anybody.get(link) for link in links)
    assert (shown.status_code, other.status_code) == (200, 200)
    assert shown.headers["X-Robots-Tag"] == "noindex"
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert shown.headers["Cache-Control"] == "no-store"
    assert "script-src" not in shown.headers["Content-Security-Policy"]
    assert shown.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert QUESTION in shown.text
    assert quote in shown.text
    assert quote not in other.text  # acme has no document
    assert LATER not in shown.text
    assert '<a href="#source-1-1">[1]</a>' in shown.text
    assert '<li id="source-1-1">' in shown.text
    assert "<script" not in shown.text
    assert "&lt;script&gt;" in shown.text
    assert 'href="https://evil.example' not in shown.text
    assert "<img" not in shown.text
    opened = [one for one in shown.text.split('"') if "/view?" in one]
    assert anybody.get(opened[0].replace("&amp;", "&")).status_code == 200
    assert "Shared on" in shown.text
    assert "Dibagikan" in anybody.get(links[0], headers={"Accept-Language": "id"}).text
    with records.open_read_session() as session:
        hashes = set(session.scalars(select_everywhere(ConversationShare)).all())
    tokens = [httpx.URL(link).params["token"] for link in links]
    assert {hashlib.sha256(token.encode()).hexdigest() for token in tokens} <= {one.token_hash for one in hashes}
    assert all(len(token) == 43 for token in tokens)
    assert acme.get(f"/v1/documents/{said[1]['citations'][0]['document_id']}/view").status_code == 404


def test_a_link_shows_the_branch_that_it_names_or_the_one_used_last(tenants: Tenants, anybody: httpx.Client) -> None:
    for client in tenants:
        runs = [ask(client, "Is it quiet here?", "branched").json()["run_id"]]
        runs.append(ask(client, "And at night?", "branched").json()["run_id"])
        ask(client, "Is it loud here?", "branched", parent_run_id="start")
        first, last = share(client, "branched", branch=runs[0])["url"], share(client, "branched")["url"]
        ask(client, "And on Sundays?", "branched", parent_run_id=runs[1])
        shown = [anybody.get(link).text for link in (first, last)]
        words = ("quiet", "at night", "loud", "Sundays")
        assert [[word in text for word in words] for text in shown] == [
            [True, True, False, False],
            [False, False, True, False],
        ]
        refused = client.post("/v1/conversations/branched/shares", json={"branch": "no-such"})
        assert refused.status_code == 404


def test_links_are_listed_and_revoked_by_their_owner_alone(tenants: Tenants, anybody: httpx.Client) -> None:
    default, acme = tenants
    for client in tenants:
        ask(client, QUESTION, "listed")
    first, second = share(default, "listed"), share(default, "listed", expires_in_s=3600)
    share(acme, "listed")
    path = "/v1/conversations/listed/shares"
    listed = default.get(path, params={"limit": 1}).json()
    assert (listed["total"], [one["id"] for one in listed["shares"]]) == (2, [first["id"]])
    assert [one["id"] for one in default.get(listed["next"]).json()["shares"]] == [second["id"]]
    assert "url" not in listed["shares"][0]
    for method in ("GET", "DELETE"):
        assert acme.request(method, f"{path}/{first['id']}").status_code == 404
    assert default.delete(f"{path}/{first['id']}").status_code == 204
    assert default.delete(f"{path}/{first['id']}").status_code == 404
    gone = anybody.get(first["url"])
    assert (gone.status_code, gone.headers["X-Robots-Tag"]) == (404, "noindex")
    assert "may have expired, or been revoked" in gone.text
    assert anybody.get(second["url"]).status_code == 200
    assert anybody.get(second["url"], headers={"Accept": "application/json"}).status_code == 200
    assert anybody.get("/v1/shared?token=x", headers={"Accept": "application/json"}).json()["status"] == 404
    assert acme.get(path).json()["total"] == 1


def test_a_repeated_request_makes_no_other_link_and_its_token_is_stored_nowhere(
    service: Service, tenants: Tenants
) -> None:
    for client in tenants:
        ask(client, QUESTION, "once")
        sent = {"json": {}, "headers": {"Idempotency-Key": "once"}}
        first, again = (client.post("/v1/conversations/once/shares", **sent) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 409)
        assert "told once" in again.json()["detail"]
        assert len(client.get("/v1/conversations/once/shares").json()["shares"]) == 1
        token = httpx.URL(first.json()["url"]).params["token"]
        published = read_publication(service.data_dir)
        assert published
        with Redis(unix_socket_path=published.socket) as store:
            kept = [store.get(key) or b"" for key in store.scan_iter() if store.type(key) == b"string"]
        assert any(b"201" in value for value in kept), "what the request came to is kept"
        assert not any(token.encode() in value for value in kept)


def test_a_link_ends_with_its_time_and_with_its_conversation(
    tenants: Tenants, anybody: httpx.Client, records: Database
) -> None:
    default, acme = tenants
    links = {}
    for name in ("expired", "unused", "deleted"):
        ask(default, QUESTION, name)
        ask(acme, QUESTION, name)
        links[name] = share(default, name)["url"], share(acme, name)["url"]
    past = now() - timedelta(days=40)
    of_default = ConversationShare.tenant_id == "default", ConversationShare.conversation_id == "expired"
    unused = Conversation.tenant_id == "default", Conversation.conversation_id == "unused"
    with records.open_write_session() as session:
        session.execute(update_everywhere(ConversationShare).where(*of_default).values(expires_at=past))
        session.execute(update_everywhere(Conversation).where(*unused).values(used_at=past))
    assert default.delete("/v1/conversations/deleted").status_code == 204
    for ours, theirs in links.values():
        assert (anybody.get(ours).status_code, anybody.get(theirs).status_code) == (404, 200)
    assert default.get("/v1/conversations/expired/shares").json()["shares"] == []
    assert default.post("/v1/conversations/deleted/restore").status_code == 200
    assert anybody.get(links["deleted"][0]).status_code == 404  # it takes a new link
    assert anybody.get(share(default, "deleted")["url"]).status_code == 200


def test_what_cannot_be_shared_is_refused(tenants: Tenants) -> None:
    default, acme = tenants
    ask(default, QUESTION, "mine")
    path = "/v1/conversations/mine/shares"
    assert [acme.request(method, path, json={}).status_code for method in ("GET", "POST")] == [404, 404]
    too_long = default.post(path, json={"expires_in_s": 172_801})
    assert (too_long.status_code, "SHARE_DAYS" in too_long.text) == (400, True)
    assert default.post(path, json={"expires_in_s": 59}).status_code == 400
    for _ in range(20):
        share(default, "mine")
    full = default.post(path, json={})
    assert (full.status_code, "revoke one first" in full.json()["detail"]) == (409, True)


def test_a_key_that_may_not_read_conversations_shares_none(service: Service) -> None:
    for tenant in ("default", "acme"):
        key = service.new_key(tenant, scopes=["chat:write", "conversations:write"])
        with service.client(key) as writer:
            ask(writer, QUESTION, "unread")
            refused = writer.post("/v1/conversations/unread/shares", json={})
            assert (refused.status_code, refused.json()["required_scope"]) == (403, "conversations:read")


def test_a_long_conversation_is_shown_a_part_at_a_time(
    service: Service, tenants: Tenants, anybody: httpx.Client, records: Database
) -> None:
    default, acme = tenants
    for client in tenants:
        ask(client, QUESTION, "long")
    made = share(default, "long")["url"], share(acme, "long")["url"]
    with records.open_write_session() as session:
        first = session.scalars(
            select_everywhere(Turn).where(Turn.conversation_id == "long", Turn.tenant_id == "default")
        ).one()
        first.parent_run_id = None  # as of 1.0.0
        facts = {column.key: getattr(first, column.key) for column in Turn.__table__.columns}
        for number in range(60):
            changed = {"run_id": f"long-{number}", "sequence": first.sequence - 60 + number, "question": f"Q{number}?"}
            session.add(Turn(**facts | changed))
    beginning, end = anybody.get(made[0]), anybody.get(f"{made[0]}&page=2")
    assert ("Q49?" in beginning.text, "Q50?" in beginning.text) == (True, False)
    assert ("Q49?" in end.text, "Q50?" in end.text, QUESTION in end.text) == (False, True, True)
    assert "page=2" in beginning.text
    assert anybody.get(f"{made[0]}&page=3").status_code == 404
    assert anybody.get(f"{made[1]}&page=2").status_code == 404


def test_an_operator_revokes_the_links_of_a_tenant(service: Service, tenants: Tenants, anybody: httpx.Client) -> None:
    links = []
    for client in tenants:
        ask(client, QUESTION, "revoked")
        links.append(share(client, "revoked")["url"])
    assert [anybody.get(link).status_code for link in links] == [200, 200]
    done = service.flask("links", "revoke", "--conversations", "--tenant", "acme", "--yes")
    assert (done.returncode, done.stdout) == (0, "Revoked.\n"), done.stderr
    assert [anybody.get(link).status_code for link in links] == [200, 404]


def test_an_operator_keeps_documents_closed_or_ends_sharing(
    service: Service, tenants: Tenants, anybody: httpx.Client
) -> None:
    """The last one: it starts the service anew."""
    for client in tenants:
        ask(client, QUESTION, "settings")
    links = [share(client, "settings")["url"] for client in tenants]
    quote = tenants[0].get("/v1/conversations/settings").json()["messages"][1]["citations"][0]["quote"]
    assert "/view?" in anybody.get(links[0]).text
    service.stop()
    service.variables["CONVERSATION_SHARING"] = "quotes"
    service.start()
    shown = anybody.get(links[0]).text
    assert (quote in shown, "/view?" in shown) == (True, False)
    service.stop()
    del service.variables["CONVERSATION_SHARING"]
    service.start()
    for client in tenants:
        refused = client.post("/v1/conversations/settings/shares", json={})
        assert (refused.status_code, "CONVERSATION_SHARING" in refused.json()["detail"]) == (409, True)
    assert [anybody.get(link).status_code for link in links] == [404, 404]
