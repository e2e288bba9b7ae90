"""Visitors of the chat page, who must not pass for one another."""

import re
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.visitors import VISITOR_HEADER, sign_visitor, verify_visitor
from tests.conftest import PAGE_KEY
from tests.service import ROOT
from utils.errors import VisitorRefused

LATER = int(time.time()) + 86_400


def visitor(page_key: str = PAGE_KEY, *, expires_at: int = LATER) -> dict[str, str]:
    """The header that names a new visitor."""
    return {VISITOR_HEADER: sign_visitor(page_key, uuid4().hex, expires_at)}


def test_the_example_in_the_documentation_is_what_we_make_and_take() -> None:
    text = Path(ROOT / "docs" / "visitors.md").read_text()
    example = dict(re.findall(r"^    (CHAT_PAGE_KEY|id|expiry|token) +(\S+)", text, re.MULTILINE))
    assert sign_visitor(example["CHAT_PAGE_KEY"], example["id"], int(example["expiry"])) == example["token"]
    if time.time() < int(example["expiry"]):
        assert verify_visitor(example["CHAT_PAGE_KEY"], example["token"]) == example["id"]


def test_a_visitor_whom_the_page_did_not_sign_is_refused(page_client: httpx.Client) -> None:
    signed = sign_visitor(PAGE_KEY, "a" * 22, LATER)
    version, visitor_id, expiry, mac = signed.split(".")
    assert page_client.get("/v1/conversations/none", headers={VISITOR_HEADER: signed}).status_code == 404
    forged = [
        "",
        "v1",
        visitor_id,
        signed[:-1],
        signed + "A",
        f"{version}.{'b' * 22}.{expiry}.{mac}",
        f"{version}.{visitor_id}.{int(expiry) + 1}.{mac}",
        f"{version}.{visitor_id}.0{expiry}.{mac}",
        f"v2.{visitor_id}.{expiry}.{mac}",
        sign_visitor("another-key-of-a-page", visitor_id, LATER),
        sign_visitor(PAGE_KEY, visitor_id, int(time.time()) - 1),
        sign_visitor(PAGE_KEY, "default.visitor-42", LATER),  # a page may sign it, and yet it names nobody
        sign_visitor(PAGE_KEY, "short", LATER),
        sign_visitor(PAGE_KEY, "x" * 65, LATER),
    ]
    for token in forged:
        refused = page_client.get("/v1/conversations/none", headers={VISITOR_HEADER: token})
        assert refused.status_code == 401, token
        assert refused.json()["type"] == "urn:pustaka:problem:visitor-refused"


def test_a_visitor_counts_with_the_key_of_the_page_alone(client: httpx.Client, page_client: httpx.Client) -> None:
    header = {VISITOR_HEADER: sign_visitor(client.headers["X-API-Key"], "a" * 22, LATER)}
    assert page_client.get("/v1/conversations/none", headers=header).status_code == 401
    for named in (header, {VISITOR_HEADER: "nonsense"}):
        assert client.get("/v1/tenant/datasets/", headers=named).status_code == 200


def test_an_expired_token_is_refused_to_the_second() -> None:
    with pytest.raises(VisitorRefused, match="expired"):
        verify_visitor(PAGE_KEY, sign_visitor(PAGE_KEY, "a" * 22, int(time.time())))
    assert verify_visitor(PAGE_KEY, sign_visitor(PAGE_KEY, "a" * 22, int(time.time()) + 60)) == "a" * 22
