"""Every route answers with a slash at its end and without one, and none redirects: a preflight cannot follow."""

import json
import re
from html import unescape
from typing import Any

import httpx
import pytest

from tests.api.addresses import addresses
from tests.service import Service

PREFLIGHT = {
    "Origin": "https://portal.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-api-key,content-type",
}


FLEETING = ("timestamp", "request_id", "instance", "expires_in_s")


def omit_fleeting(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in FLEETING}


def compared(answer: httpx.Response) -> tuple[Any, ...]:
    """What has to be the same of two answers, given one after the other."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    told = (
        json.loads(answer.content, object_hook=omit_fleeting)
        if "json" in headers.get("content-type", "") and answer.content
        else {}
    )
    headers.pop("content-length", None)  # of a page whose addresses are relative to its own
    return answer.status_code, headers, told if answer.request.method != "HEAD" else {}


def test_both_forms_of_every_address_answer_the_same(client: httpx.Client) -> None:
    routes = addresses()
    assert len(routes) > 60
    for method, path in routes:
        bare = path.rstrip("/")
        without, slashed = client.request(method, bare), client.request(method, f"{bare}/")
        assert not without.has_redirect_location, (method, path)
        assert compared(without) == compared(slashed), (method, path)


def test_preflights_are_answered_in_both_forms(client: httpx.Client) -> None:
    for path in {path.rstrip("/") for _, path in addresses()}:
        for form in (path, f"{path}/"):
            answer = client.options(form, headers=PREFLIGHT)
            assert answer.status_code == 200, form
            assert answer.headers.get("access-control-allow-origin") in ("*", PREFLIGHT["Origin"]), form


@pytest.mark.parametrize("path", ["//v1//chat", "/v1//tenant/datasets", "//evil.example/v1/chat", "/docs//"])
def test_slashes_too_many_lead_nowhere(client: httpx.Client, path: str) -> None:
    answer = client.get(httpx.URL(str(client.base_url) + path), headers={"Host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_an_address_in_location_does_not_come_from_the_host_header(client: httpx.Client) -> None:
    for path in ("/v1/tenant/datasets", "/v1/tenant/datasets/"):
        made = client.post(path, json={"name": f"By {path}"}, headers={"Host": "evil.example"})
        assert made.status_code == 201
        assert made.headers["location"] == f"/v1/tenant/datasets/{made.json()['id']}"
        assert client.delete(made.headers["location"] + "/").status_code == 204


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/redoc", "/redoc/"])
def test_what_a_page_loads_is_found_from_both_forms(service: Service, path: str) -> None:
    with service.client("") as stranger:
        page = stranger.get(path)
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(loaded) >= 3
        for address in loaded:
            assert address == "data:," or stranger.get(page.url.join(address)).status_code == 200, address


def test_a_document_opens_in_both_forms_with_all_that_its_page_leads_to(service: Service, client: httpx.Client) -> None:
    answer = client.post(
        "/v1/chat", json={"message": "How much does a dormitory room cost?", "session_id": None}
    ).json()
    link = httpx.URL(answer["citations"][0]["link"])
    with service.client("") as stranger:
        for form in (link, link.copy_with(path=f"{link.path}/")):
            page = stranger.get(form)
            assert page.status_code == 200
            [original] = [address for address in re.findall(r'href="([^"]+)"', page.text) if "original" in address]
            assert stranger.get(page.url.join(unescape(original))).status_code == 200
