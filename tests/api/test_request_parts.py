"""What every route refuses of a request's query and body, whatever it does with them."""

import json
from urllib.parse import quote

import httpx
import pytest
from flask import Response
from pydantic import BaseModel

from api.access import requires
from auth.principal import Principal
from auth.scopes import Scope
from tests.api.addresses import addresses
from tests.api.problem import assert_refused
from tests.service import Service

JSON = {"Content-Type": "application/json"}
SENT = [
    ("POST", "/v1/chat"),
    ("POST", "/v1/search"),
    ("POST", "/v1/tenant/datasets"),
    ("PUT", "/v1/conversations/a/answers/b/rating"),
]
SENT += [
    ("PATCH", "/v1/tenant/datasets/nothing"),
    ("PATCH", "/v1/tenant/web-sources/nothing"),
    ("POST", "/v1/tenant/web-sources"),
]
SENT += [("POST", "/v1/tenant/datasets/nothing/documents"), ("POST", "/api/load-document")]

# Whose errors have the shape of another protocol.
OTHER_ERRORS = (
    "/v1/mcp", "/v1/models", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/audio/speech",
    "/v1/audio/transcriptions",
)  # fmt: skip

HOLDS_NUL = "Holds a NUL character, which databases do not take"
TAKEN = "Unknown parameter. This address takes after, limit, offset"


class Header(BaseModel):
    """What flask-openapi3 would read from the headers."""


def test_no_route_passes_over_a_parameter_that_it_does_not_know(client: httpx.Client) -> None:
    for method, path in addresses():
        if method in ("HEAD", "OPTIONS"):
            continue
        refused = client.request(method, path, params={"colour": "red"})
        if path.startswith(OTHER_ERRORS):
            assert refused.status_code == 400
            assert "colour" in refused.json()["error"]["message"], path
            continue
        assert_refused(refused, 400)
        assert [error["field"] for error in refused.json()["errors"]] == ["colour"], (method, path)


def test_the_refusal_names_the_parameters_that_there_are(client: httpx.Client) -> None:
    message = client.get("/v1/tenant/datasets", params={"page": 2}).json()["errors"][0]["message"]
    assert "limit" in message
    assert "offset" in message
    assert "none" in client.get("/v1/runs/nothing", params={"page": 2}).json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("method", "path", "sent", "said"),
    [
        ("GET", "/v1/tenant/datasets?limit=many", None, {"limit": "Has to be a whole number"}),
        ("GET", "/v1/tenant/datasets?limit=0", None, {"limit": "Has to be 1 or more"}),
        ("GET", "/health?colour=red", None, {"colour": "Unknown parameter. This address takes verbose"}),
        ("POST", "/v1/tenant/datasets", {"name": "a", "metadata": 1}, {"metadata": "Has to be a JSON object"}),
        ("POST", "/v1/tenant/datasets", {"name": "a", "tags": "b"}, {"tags": "Has to be a list"}),
        ("POST", "/v1/tenant/datasets", {"name": "a", "tags": [1]}, {"tags.0": "Has to be a text"}),
        ("POST", "/v1/tenant/datasets", {}, {"name": "Is missing"}),
        ("POST", "/v1/chat", {"message": ""}, {"message": "Is empty"}),
        ("POST", "/v1/search", {"query": "x" * 6000}, {"query": "Has to have 5000 characters or fewer"}),
        ("POST", "/v1/search", {"query": "x", "limit": 1.5}, {"limit": "Has to be a whole number"}),
        ("POST", "/v1/search", {"query": "x", "colour": 1}, {"colour": "Unknown field"}),
        *(
            ("POST", "/v1/search", {"query": "x", secret: "y"}, {"A field (2 of 2)": "Unknown field"})
            for secret in ("sk-SECRET", "SK-SECRET", "ak_live_SECRET", "Bearer SECRET", "x" * 41, "a\tb", "")
        ),
        ("POST", "/v1/search", {"sk-SECRET\0": "y"}, {"A field (1 of 1)": HOLDS_NUL}),
        ("GET", "/v1/tenant/datasets?limit=1&sk-SECRET=1", None, {"A parameter (2 of 2)": TAKEN}),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(
    client: httpx.Client, method: str, path: str, sent: object, said: dict[str, str]
) -> None:
    refused = client.request(method, path, json=sent)
    assert_refused(refused, 400)
    assert {error["field"]: error["message"] for error in refused.json()["errors"]} == said
    assert "SECRET" not in refused.text


def test_a_name_that_stands_twice_is_repeated_where_it_looks_like_one(client: httpx.Client) -> None:
    for name, said in (("query", "it has the name 'query' twice"), ("sk-SECRET", "it has a name twice")):
        twice = client.post("/v1/search", content=f'{{"{name}": 1, "{name}": 2}}', headers=JSON)
        assert twice.json()["detail"] == f"The body is not valid JSON: {said} in one object."


@pytest.mark.parametrize(
    "query", ["limit=1&limit=2", "limit=", "limit=%00", "limit=%ff", "limit=1%00", "=1", "limit=1&&%00=1", "x" * 20_000]
)
def test_a_parameter_is_given_once_and_whole(client: httpx.Client, query: str) -> None:
    assert_refused(client.get(f"/v1/tenant/datasets?{query}"), 400)


def test_strangers_do_not_learn_which_parameters_there_are(service: Service) -> None:
    with service.client("") as stranger:
        assert_refused(stranger.get("/v1/tenant/datasets", params={"colour": "red"}), 401)


@pytest.mark.parametrize(("method", "path"), SENT)
def test_a_body_is_not_nested_deeper_than_can_be_worked_on(client: httpx.Client, method: str, path: str) -> None:
    for depth in (65, 975, 150_000):
        for start, end in (('{"a":', "}"), ("[", "]")):
            body = f'{{"metadata": {start * (depth - 1)}1{end * (depth - 1)}}}'
            refused = client.request(method, path, content=body, headers=JSON)
            assert_refused(refused, 400)
            assert "nested too deeply" in refused.json()["detail"], depth


def test_metadata_is_kept_and_shown_as_deep_as_it_may_be(client: httpx.Client) -> None:
    deepest = f'{{"a":{"[" * 62}1{"]" * 62}}}'
    made = client.post("/v1/tenant/datasets", content=f'{{"name": "Deep", "metadata": {deepest}}}', headers=JSON)
    assert (made.status_code, made.json()["metadata"]) == (201, json.loads(deepest))
    at = f"{made.headers['location']}/documents/upload"
    for depth, status in ((62, 202), (975, 400)):
        metadata = {"metadata": f'{{"a":{"[" * depth}1{"]" * depth}}}'}
        sent = client.post(at, files=[("files", ("a.txt", b"Deep"))], data=metadata)
        assert sent.status_code == status, sent.text
    client.delete(made.headers["location"])


@pytest.mark.parametrize(
    "metadata", [b'{"a": NaN}', b'{"a": 1e999}', b'{"a": 1, "a": 2}', '{"a": 1}'.encode("utf-16"), b'{"a": "\\ud800"}']
)
def test_metadata_of_an_upload_is_read_as_bodies_are(client: httpx.Client, metadata: bytes) -> None:
    made = client.post("/v1/tenant/datasets", json={"name": f"Read {metadata!r}"})
    parts = [("metadata", (None, metadata, "application/json")), ("files", ("a.txt", b"Opening hours", "text/plain"))]
    refused = client.post(f"{made.headers['location']}/documents/upload", files=parts)
    client.delete(made.headers["location"])
    assert_refused(refused, 400)
    assert [error["field"] for error in refused.json()["errors"]] == ["metadata"]


def test_no_id_holds_a_nul_character(client: httpx.Client) -> None:
    for method, path in addresses():
        if "/nothing" in path and method not in ("HEAD", "OPTIONS"):
            refused = client.request(method, path.replace("nothing", "no%00thing"))
            assert refused.status_code == 400, path
            if not path.startswith(OTHER_ERRORS):
                assert_refused(refused, 400)


@pytest.mark.parametrize(("method", "path"), SENT)
def test_a_body_of_another_media_type_is_refused_with_those_that_are_taken(
    client: httpx.Client, method: str, path: str
) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": ""}, {"Content-Type": "application/jsonp"}):
        refused = client.request(method, path, content=b"{}", headers=headers)
        assert_refused(refused, 415)
        assert "application/json" in refused.headers["accept"]
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert_refused(client.request(method, path, content=b"{}", headers=packed), 415)


@pytest.mark.parametrize(("method", "path"), SENT)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"{}"',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": [{"b": -1e999}]}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 2}}',
        b'{"name": "\xff"}',
        '{"name": "Ü"}'.encode("utf-16"),
        b'{"a": "\\u0000"}',
        b'{"a": "\\\\\\u0000"}',
        b'{"a": ["\\ud800"]}',
        b'{"\\udfff": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client, method: str, path: str, content: bytes) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert_refused(client.request(method, path, content=content, headers=headers), 400)


@pytest.mark.parametrize("number", ["1e999", "-1e400", "NaN", '[1, {"b": 1e309}]'])
def test_a_number_that_no_answer_could_show_is_not_kept(client: httpx.Client, number: str) -> None:
    sent = f'{{"name": "Numbers", "metadata": {{"a": {number}}}}}'
    assert_refused(client.post("/v1/tenant/datasets", content=sent, headers=JSON), 400)


def test_text_that_looks_like_an_escape_is_text(client: httpx.Client) -> None:
    for text in ("\\u0000", "C:\\ud800", "\U0001f9ff", "\u2028\x85"):
        made = client.post("/v1/tenant/datasets", json={"name": f"Named {quote(text)}", "description": text})
        assert made.status_code == 201, made.text
        assert made.json()["description"] == text
        client.delete(made.headers["location"])


def test_an_object_has_at_most_twenty_errors(client: httpx.Client) -> None:
    refused = client.post("/v1/search", content=json.dumps({f"field{n}": 1 for n in range(5000)}), headers=JSON)
    assert_refused(refused, 400)
    assert len(refused.json()["errors"]) == 20


def test_a_view_cannot_ask_for_what_would_not_be_read() -> None:
    def view(ctx: Principal, header: Header) -> Response:
        return Response()

    with pytest.raises(TypeError, match="header"):
        requires(Scope.SEARCH)(view)
