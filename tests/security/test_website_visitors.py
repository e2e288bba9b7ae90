"""Visitors of bots on websites: they have no key, and what they get reaches one bot from one website alone."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.visitor_tokens import VisitorSigner, WebsiteVisitor
from auth.scopes import VISITOR_SCOPES
from tests.security.test_scopes import list_guarded_routes, operations
from tests.service import Service, ask, await_knowledge, one_document
from utils.errors import OriginRefused, VisitorRefused

SITE, OTHER_SITE = "https://www.example.org", "https://evil.example"
QUESTION = "How much does a dormitory room cost?"
# Not for visitors of websites, as `/v1/audio/speech` is not, whose body is read before.
TRANSCRIPTIONS = "/v1/audio/transcriptions"


def add_bot(owner: httpx.Client, **said: Any) -> str:
    """A bot that is open to visitors of `SITE` unless *said* otherwise; its public id."""
    bot = {"id": f"b{uuid4().hex}", "name": "Helper", "allowed_origins": [SITE], **said}
    made = owner.post("/v1/tenant/bots", json=bot)
    assert made.status_code == 201, made.text
    return str(made.json()["public_id"])


def visit(service: Service, public_id: str, origin: str | None = SITE, **more: Any) -> httpx.Response:
    """Ask for a token as a page of *origin*."""
    with service.client("", **({"Origin": origin} if origin else {})) as page:
        return page.post("/v1/visitors", json={"public_id": public_id, **more})


def as_visitor(service: Service, public_id: str) -> httpx.Client:
    """A new visitor's browser, on a page of `SITE`."""
    token = visit(service, public_id).json()["token"]
    return service.client("", Origin=SITE, Authorization=f"Bearer {token}")


def cors(answer: httpx.Response) -> list[str]:
    return [name for name in answer.headers if name.startswith("access-control-")]


def test_a_page_of_an_allowed_site_asks_and_reads_what_its_visitor_has_asked(
    service: Service, client: httpx.Client
) -> None:
    public_id = add_bot(client, institution="Acme College")
    told = visit(service, public_id)
    assert told.status_code == 200
    assert (told.json()["institution"], told.json()["kept_s"]) == ("Acme College", 86_400)
    assert told.headers["Access-Control-Allow-Origin"] == "*"
    with as_visitor(service, public_id) as visitor, as_visitor(service, public_id) as other:
        answer = ask(visitor, QUESTION, "mine").json()
        assert answer["bot_id"] == public_id.partition("/")[2]
        assert visitor.get("/v1/conversations/mine").json()["messages"][0]["content"] == QUESTION
        assert other.get("/v1/conversations/mine").status_code == 404
        assert other.get(f"/v1/runs/{answer['run_id']}").status_code == 404
        assert other.get("/v1/conversations").json()["conversations"] == []


def test_a_token_of_one_bot_reads_nothing_of_another_in_no_tenant(
    service: Service, client: httpx.Client, other_client: httpx.Client
) -> None:
    mine = add_bot(client)
    others = {add_bot(client): client, add_bot(other_client, id=mine.partition("/")[2]): other_client}
    with as_visitor(service, mine) as visitor:
        for public_id, owner in others.items():
            bot_id = public_id.partition("/")[2]
            with as_visitor(service, public_id) as theirs:
                asked = ask(theirs, QUESTION, "same")
            run_id = asked.json()["run_id"]
            assert ask(owner, QUESTION, "same", bot_id=bot_id).status_code == 200
            for path in ("/v1/conversations/same", f"/v1/conversations/same?bot_id={bot_id}", f"/v1/runs/{run_id}"):
                assert visitor.get(path).status_code == 404, path
            assert visitor.delete("/v1/conversations/same").status_code == 404
            assert visitor.post(f"/v1/runs/{run_id}/cancel").status_code == 404
        for bot_id in ("default", next(iter(others)).partition("/")[2]):
            assert ask(visitor, QUESTION, "new", bot_id=bot_id).status_code == 404


def test_a_token_can_do_nothing_but_what_a_visitor_may(service: Service, client: httpx.Client) -> None:
    tried = operations(client)
    assert {scope for _, _, scope in tried} > set(map(str, VISITOR_SCOPES))
    assert len(list_guarded_routes()) >= len(tried)
    with as_visitor(service, add_bot(client)) as visitor:
        for method, path, scope in tried:
            refused = visitor.request(method, path).status_code == 403
            assert refused is (scope not in VISITOR_SCOPES or path == TRANSCRIPTIONS), (method, path)


@pytest.mark.parametrize(
    ("change", "origin"),
    [
        ({"allowed_origins": [SITE]}, OTHER_SITE),
        ({"allowed_origins": [SITE]}, "null"),
        ({"allowed_origins": [SITE]}, None),
        ({"allowed_origins": ["https://*.example.org"]}, "https://example.org.evil.example"),
        ({"allowed_origins": []}, SITE),
        ({"allowed_origins": None}, SITE),
        ({"enabled": False}, SITE),
    ],
)
def test_who_is_not_let_in_gets_no_cors_headers_and_learns_nothing_of_the_bot(
    service: Service, client: httpx.Client, change: dict[str, Any], origin: str | None
) -> None:
    absent = visit(service, f"nobody-{uuid4().hex}/default", SITE).json()
    for public_id in (add_bot(client, **change), "default/not-there", "nobody/default"):
        refused = visit(service, public_id, origin)
        assert (refused.status_code, cors(refused)) == (403, []), public_id
        assert refused.json()["type"] == "urn:pustaka:problem:origin-refused"
        assert refused.json()["detail"] == absent["detail"]


@pytest.mark.parametrize("allowed", [["*"], ["https://*.example.org"], ["https://elsewhere.example", SITE]])
def test_a_bot_is_open_to_the_sites_that_it_names(service: Service, client: httpx.Client, allowed: list[str]) -> None:
    assert visit(service, add_bot(client, allowed_origins=allowed)).status_code == 200


@pytest.mark.parametrize(
    "wrong", ["example.org", "https://", "https://a.example/path", "ftp://a.example", "HTTPS://A.B"]
)
def test_what_is_no_website_is_refused_where_a_bot_is_made(client: httpx.Client, wrong: str) -> None:
    bot = {"id": f"b{uuid4().hex}", "name": "Helper", "allowed_origins": [wrong]}
    refused = client.post("/v1/tenant/bots", json=bot)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"].startswith("allowed_origins")


def test_a_token_is_for_pages_of_the_site_that_it_was_given_to(service: Service, client: httpx.Client) -> None:
    with as_visitor(service, add_bot(client, allowed_origins=["*"])) as visitor:
        refused = visitor.get("/v1/conversations", headers={"Origin": OTHER_SITE})
        assert (refused.status_code, cors(refused)) == (403, [])
        assert refused.json()["type"] == "urn:pustaka:problem:origin-refused"
        del visitor.headers["Origin"]  # as a page of the service itself reads
        assert visitor.get("/v1/conversations").status_code == 200


def test_a_token_that_was_changed_is_refused(service: Service, client: httpx.Client) -> None:
    public_id = add_bot(client)
    token = visit(service, public_id).json()["token"]
    prefix, tenant, bot, visitor_id, expiry, digest, mac = token.split(".")
    for forged in (
        ".".join((prefix, "acme", bot, visitor_id, expiry, digest, mac)),
        ".".join((prefix, tenant, "default", visitor_id, expiry, digest, mac)),
        ".".join((prefix, tenant, bot, "a" * 22, expiry, digest, mac)),
        ".".join((prefix, tenant, bot, visitor_id, str(int(expiry) + 1), digest, mac)),
        ".".join((prefix, tenant, bot, visitor_id, expiry, digest, "A" * 43)),
        token[:-1],
        "pv1.",
    ):
        with service.client("", Authorization=f"Bearer {forged}") as stranger:
            refused = stranger.get("/v1/conversations")
            assert (refused.status_code, refused.json()["type"]) == (401, "urn:pustaka:problem:visitor-refused")
    with service.client(Authorization="Bearer pv1.nonsense") as owner:  # a valid key beside it is enough
        assert owner.get("/v1/tenant/bots").status_code == 200


def test_a_new_token_is_for_the_same_visitor_if_the_former_one_was_for_this_bot_and_site(
    service: Service, client: httpx.Client
) -> None:
    public_id = add_bot(client, allowed_origins=["*"])
    first = visit(service, public_id).json()["token"]
    assert visit(service, public_id, token=first).json()["token"].split(".")[3] == first.split(".")[3]
    for again in (
        visit(service, add_bot(client), token=first),
        visit(service, public_id, OTHER_SITE, token=first),
        visit(service, public_id, token=first[:-1] + "?"),
        visit(service, public_id),
    ):
        assert again.json()["token"].split(".")[3] != first.split(".")[3]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"public_id": "default"}, 400),
        ({"public_id": "Default/default"}, 400),
        ({"public_id": "a/b/c"}, 400),
        ({"public_id": "default/default", "tenant_id": "acme"}, 400),
        ({}, 400),
        ({"public_id": "default/default", "token": "a" * 9000}, 413),
    ],
)
def test_a_wrong_request_for_a_token_is_told_what_is_wrong(service: Service, body: dict[str, Any], status: int) -> None:
    with service.client("", Origin=SITE) as page:
        refused = page.post("/v1/visitors", json=body)
    assert refused.status_code == status
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_a_token_expires_to_the_second_and_is_worth_nothing_with_another_secret() -> None:
    signer, now = VisitorSigner(b"secret"), int(time.time())
    fresh = WebsiteVisitor.make("acme", "faq", SITE)
    assert signer.verify(signer.sign(fresh)) == fresh
    expired = WebsiteVisitor("acme", "faq", fresh.visitor_id, now, fresh.origin_digest)
    with pytest.raises(VisitorRefused, match="expired"):
        signer.verify(signer.sign(expired))
    assert signer.read(signer.sign(expired)) == expired
    with pytest.raises(VisitorRefused, match="no visitor's token"):
        VisitorSigner(b"another").verify(signer.sign(fresh))
    with pytest.raises(OriginRefused):
        fresh.check_origin("http://www.example.org")
    assert "secret" not in repr(signer)


@pytest.mark.parametrize("end", ["off", "removed"])
def test_a_token_ends_with_its_bot(
    service: Service, client: httpx.Client, other_client: httpx.Client, end: str
) -> None:
    public_id = add_bot(client)
    bot_id = public_id.partition("/")[2]
    namesake = add_bot(other_client, id=bot_id)
    with as_visitor(service, public_id) as visitor, as_visitor(service, namesake) as theirs:
        run_id = ask(visitor, QUESTION, "mine").json()["run_id"]
        ask(theirs, QUESTION, "mine")
        if end == "off":
            client.patch(f"/v1/tenant/bots/{bot_id}", json={"enabled": False}, headers={"If-Match": "*"})
        else:
            client.delete(f"/v1/tenant/bots/{bot_id}", headers={"If-Match": "*"})
        refused = visitor.get("/v1/conversations/mine")
        assert (refused.status_code, refused.json()["type"]) == (401, "urn:pustaka:problem:visitor-refused")
        assert cors(refused), "the page learns why"
        assert visitor.post(f"/v1/conversations/mine/answers/{run_id}/fork", json={}).status_code == 401
        assert visitor.post("/v1/conversations/mine/shares", json={}).status_code == 401
        assert ask(visitor, QUESTION, "mine").status_code == 401
        assert theirs.get("/v1/conversations/mine").status_code == 200


def test_a_visitor_is_told_of_passages_no_more_than_the_answer_quotes_where_links_open_no_more(
    service: Service, tmp_path: Path
) -> None:
    documents = one_document(tmp_path)
    (Path(documents["KNOWLEDGE_DIR"]) / "laundry.md").write_text("# Laundry\n\nLaundry of a dormitory room is free.\n")
    for mode, is_told in (("quote", False), ("full", True)):
        with Service(tmp_path / mode, DOCUMENT_LINKS=mode, **documents) as closed, closed.client() as owner:
            await_knowledge(closed, QUESTION)
            with as_visitor(closed, add_bot(owner)) as visitor:
                for asking in (visitor, owner):
                    run_id = ask(asking, QUESTION, "mine").json()["run_id"]
                    found = asking.get(f"/v1/conversations/mine/answers/{run_id}/trace").json()["passages"]
                    told = {one["is_cited"]: bool(one["excerpt"]) for one in found}
                    assert told == {True: True, False: is_told or asking is owner}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose visitors may ask two questions in a minute, and four from one address."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {"VISITOR_QUESTIONS_PER_MINUTE": "2", "ADDRESS_QUESTIONS_PER_MINUTE": "4"}
    with Service(folder / "data", ADDRESS_REQUESTS_PER_MINUTE="8", **limits, **one_document(folder)) as running:
        yield running


def test_visits_and_questions_are_limited_by_visitor_and_address_whatever_the_page_says_of_them(
    limited: Service,
) -> None:
    with limited.client() as owner:
        public_id = add_bot(owner)
    statuses = []
    for number in range(3):
        with as_visitor(limited, public_id) as visitor:
            visitor.headers.update({"X-Visitor-Address": f"203.0.113.{number}", "X-Visitor-Id": "nobody"})
            statuses.append([ask(visitor, QUESTION, uuid4().hex).status_code for _ in range(3)])
    assert statuses == [[200, 200, 429], [200, 200, 429], [429, 429, 429]]
    answers = [visit(limited, public_id) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["Retry-After"]
    assert visit(limited, f"nobody-{uuid4().hex}/default").status_code == 429


def test_a_fork_counts_as_a_question(tmp_path: Path) -> None:
    limits = {"VISITOR_QUESTIONS_PER_MINUTE": "3", "ADDRESS_QUESTIONS_PER_MINUTE": "100"}
    with ExitStack() as stack:
        running = stack.enter_context(Service(tmp_path / "data", **limits, **one_document(tmp_path)))
        owner = stack.enter_context(running.client())
        visitor, other = (stack.enter_context(as_visitor(running, add_bot(owner))) for _ in range(2))
        path = f"/v1/conversations/mine/answers/{ask(visitor, QUESTION, 'mine').json()['run_id']}/fork"
        made = [visitor.post(path, json={}) for _ in range(3)]
        assert [answer.status_code for answer in made] == [201, 201, 429]
        assert "ratelimit" in made[0].headers
        assert ask(other, QUESTION, "mine").status_code == 200
