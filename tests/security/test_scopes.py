"""Keys that try what they may not do, and credentials that are presented together."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import httpx
import pytest

from app import create_app
from auth.operators import make_operator
from auth.scopes import VISITOR_SCOPES, Scope
from config import load_settings
from domain.db_opening import open_database
from domain.keys import ALL, create_key, revoke_key
from tests.service import Service, ask

INVALID = "ak_live_aaaaaaaa_" + "b" * 43


# What a key for one bot may try, with what comes of it where the path names what another bot has.
OF_ONE_BOT = {
    ("POST", "/v1/chat"): 400,
    ("POST", "/v1/chat/stream"): 400,
    ("POST", "/v1/audio"): 409,
    ("POST", "/v1/audio/stream"): 409,
    ("POST", "/v1/audio/transcriptions"): 404,
    ("POST", "/v1/audio/speech"): 400,
    ("GET", "/v1/runs/<run_id>"): 404,
    ("GET", "/v1/runs/<run_id>/events"): 404,
    ("GET", "/v1/runs/<run_id>/charts/<int:number>"): 404,
    ("POST", "/v1/runs/<run_id>/cancel"): 404,
    ("POST", "/v1/runs/<run_id>/resume"): 404,
    ("GET", "/v1/topics"): 200,
    ("GET", "/v1/terms"): 200,
    ("GET", "/v1/models"): 200,
    ("GET", "/v1/models/<model_id>"): 404,
    ("POST", "/v1/chat/completions"): 400,
    ("POST", "/v1/responses"): 400,
    ("GET", "/v1/responses/<response_id>"): 404,
    ("POST", "/v1/responses/<response_id>/cancel"): 404,
    ("GET", "/v1/conversations"): 200,
    ("GET", "/v1/conversations/<conversation_id>"): 404,
    ("PATCH", "/v1/conversations/<conversation_id>"): 404,
    ("POST", "/v1/conversations/<conversation_id>/restore"): 404,
    ("POST", "/v1/conversations/clear"): 400,
    ("DELETE", "/v1/conversations/<conversation_id>"): 404,
    ("GET", "/v1/conversations/<conversation_id>/shares"): 404,
    ("POST", "/v1/conversations/<conversation_id>/shares"): 400,
    ("GET", "/v1/conversations/<conversation_id>/shares/<share_id>"): 404,
    ("DELETE", "/v1/conversations/<conversation_id>/shares/<share_id>"): 404,
    ("GET", "/v1/conversations/<conversation_id>/files"): 200,
    ("POST", "/v1/conversations/<conversation_id>/files"): 409,
    ("GET", "/v1/conversations/<conversation_id>/files/<file_id>"): 404,
    ("DELETE", "/v1/conversations/<conversation_id>/files/<file_id>"): 404,
    ("PUT", "/v1/conversations/<conversation_id>/answers/<run_id>/rating"): 404,
    ("DELETE", "/v1/conversations/<conversation_id>/answers/<run_id>/rating"): 404,
    ("GET", "/v1/conversations/<conversation_id>/answers/<run_id>/trace"): 404,
    ("POST", "/v1/conversations/<conversation_id>/answers/<run_id>/fork"): 400,
    ("POST", "/v1/conversations/<conversation_id>/answers/<run_id>/speech"): 400,
    ("GET", "/v1/sessions"): 200,
    ("DELETE", "/v1/sessions/<session_id>"): 404,
    ("GET", "/v1/sessions/<session_id>/artifacts"): 404,
    ("GET", "/v1/download/<file_type>/<session_id>"): 400,
    ("GET", "/v1/tenant/ratings"): 200,
    ("POST", "/v1/mcp"): 400,
}
BODIES = {"PATCH": {"title": "Mine"}, "PUT": {"rating": "up"}, "POST": {"call_id": "1", "decision": "approve"}}


def operations(client: httpx.Client) -> list[tuple[str, str, str]]:
    """Method, path and scope of every operation that needs a key, with ids of what does not exist in the path."""
    paths = client.get("/openapi.json").json()["paths"]
    return [
        (method, re.sub(r"{[^}]+}", "1", path), operation["security"][0]["key"][0])
        for path, item in paths.items()
        for method, operation in item.items()
        if operation["security"] and {} not in operation["security"]
    ]


def test_the_key_of_the_chat_page_can_do_nothing_but_chat_read_conversations_and_rate(
    client: httpx.Client, page_client: httpx.Client
) -> None:
    tried = operations(client)
    allowed = {scope for _, _, scope in tried if scope in VISITOR_SCOPES}
    assert allowed == {"chat:write", "conversations:read", "conversations:write", "ratings:write"}
    for method, path, scope in tried:
        answered = page_client.request(method, path)
        if scope in allowed:
            assert answered.status_code != 403, path
        else:
            assert answered.status_code == 403, path
            problem = answered.json()
            if "error" in problem:  # in OpenAI's shape
                assert problem["error"]["code"] == "forbidden"
                assert scope in problem["error"]["message"]
                continue
            assert problem["type"].endswith(":forbidden")
            assert problem["required_scope"] == scope
            assert scope in problem["detail"]


def test_a_key_with_every_scope_is_refused_nothing(client: httpx.Client) -> None:
    assert {scope for _, _, scope in operations(client)} == set(Scope) - {Scope.CONVERSATIONS_ALL, Scope.HEALTH_READ}
    for method, path, _ in operations(client):
        if method != "delete":
            assert client.request(method, path).status_code not in (401, 403), path


@contextmanager
def make_former_key(service: Service, tenant: str, bot_id: str) -> Iterator[str]:
    """A key for one bot as they were made at first, with every scope; revoked at the end, so that the bot can go."""
    with closing(open_database(f"sqlite:///{service.data_dir / 'pustaka.db'}")) as database:
        with database.open_write_session() as session:
            key, presented = create_key(session, tenant, "made by a test", bot_id=bot_id)
            key.scopes = [ALL]
            key_id = key.key_id
        yield presented
        with database.open_write_session() as session:
            revoke_key(session, make_operator(tenant), key_id)


@pytest.mark.parametrize("tenant", ["default", "acme"])
def test_a_key_for_one_bot_can_do_nothing_but_talk_to_it(
    service: Service, client: httpx.Client, other_client: httpx.Client, tenant: str
) -> None:
    owner, (mine, others) = {"default": client, "acme": other_client}[tenant], (f"b{uuid4().hex}" for _ in range(2))
    for bot_id in (mine, others):
        assert owner.post("/v1/tenant/bots", json={"id": bot_id, "name": bot_id}).status_code == 201
    run_id = ask(owner, "What is one?", others, bot_id=others).json()["run_id"]
    before = read_bot(owner, others)
    names = {"bot_id": others, "conversation_id": others, "run_id": run_id}
    expected, answered = {}, {}
    with make_former_key(service, tenant, mine) as key, service.client(key) as bound:
        for method, rule in list_guarded_routes():
            filled = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: names.get(name[1], "1"), rule)
            answered[method, rule] = bound.request(method, filled, json=BODIES.get(method)).status_code
            expected[method, rule] = OF_ONE_BOT.get((method, rule), 403)
        assert answered == expected
        assert OF_ONE_BOT.keys() < expected.keys()
        assert bound.get("/health?verbose").json().get("disk") is None
        assert ask(bound, "What is one?", "own").json()["bot_id"] == mine
    assert read_bot(owner, others) == before
    for bot_id in (mine, others):
        assert owner.delete(f"/v1/tenant/bots/{bot_id}").status_code == 204


def read_bot(owner: httpx.Client, bot_id: str) -> tuple[object, object]:
    """The bot, and what was said and rated in its conversation of the same id."""
    messages = owner.get(f"/v1/conversations/{bot_id}?bot_id={bot_id}").json()["messages"]
    said = [(message["content"], message.get("rating")) for message in messages]
    return owner.get(f"/v1/tenant/bots/{bot_id}").json(), said


def list_guarded_routes() -> list[tuple[str, str]]:
    """Method and rule of every route that needs a key."""
    app = create_app(load_settings(_env_file=None))
    policies = [(rule, vars(app.view_functions[rule.endpoint])["policy"]) for rule in app.url_map.iter_rules()]
    return [
        (method, rule.rule)
        for rule, policy in policies
        if policy.kind != "open"
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer  {}"])
def test_a_valid_key_wins_beside_an_invalid_one(client: httpx.Client, scheme: str) -> None:
    valid = client.headers["X-API-Key"]
    for headers in (
        {"X-API-Key": INVALID, "Authorization": scheme.format(valid)},
        {"X-API-Key": valid, "Authorization": scheme.format(INVALID)},
        {"X-API-Key": "", "Authorization": scheme.format(valid)},
    ):
        assert client.get("/v1/tenant/datasets/", headers=headers).status_code == 200
    both_invalid = {"X-API-Key": INVALID, "Authorization": scheme.format(INVALID)}
    assert client.get("/v1/tenant/datasets/", headers=both_invalid).status_code == 401


def test_the_first_valid_key_says_who_asks(client: httpx.Client, other_client: httpx.Client) -> None:
    both = {"Authorization": f"Bearer {other_client.headers['X-API-Key']}"}
    made = client.post("/v1/tenant/datasets/", json={"name": uuid4().hex}, headers=both).json()
    assert client.get(f"/v1/tenant/datasets/{made['id']}").status_code == 200
    assert other_client.get(f"/v1/tenant/datasets/{made['id']}").status_code == 404


def test_a_key_opens_a_document_whose_link_does_not_and_nothing_of_the_link_is_believed(
    client: httpx.Client, other_client: httpx.Client
) -> None:
    link = ask(client, "How much does a dormitory room cost?", uuid4().hex).json()["citations"][0]["link"]
    path = httpx.URL(link).path
    version = httpx.URL(link).params["version"]
    for token in ("1.default.aaaa", "ffffffffff.default.aaaa", "ffffffffff.acme.aaaa", "x", "..", "-1.default."):
        forged = {"version": version, "token": token}
        opened = client.get(path, params=forged)
        assert opened.status_code == 200, token
        assert token not in opened.text or len(token) < 3
        assert client.get(path, params={**forged, "version": "999999"}).status_code == 404
        assert other_client.get(path, params=forged).status_code == 404
        without_key = httpx.get(f"{client.base_url}{path}", params=forged, trust_env=False)
        assert without_key.status_code == 403
        invalid_key = {"X-API-Key": INVALID}
        assert client.get(path, params=forged, headers=invalid_key).status_code == 401
    assert other_client.get(link).status_code == 200  # whoever has a link may open it, also with a key of no use
    assert client.get(link, headers={"X-API-Key": INVALID}).status_code == 200
