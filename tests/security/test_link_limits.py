"""Who has a link and no key is limited by address and for the tenant, and others are served as before."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from api.link_limits import LinkLimits
from api.links import Grant, LinkSigner
from tests.service import Service, ask, await_knowledge, one_document
from utils.errors import TooManyAtOnce

pytestmark = pytest.mark.long

PER_ADDRESS, PER_TENANT = 4, 10


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("link-limits")
    limits = {"LINK_REQUESTS_PER_HOUR": str(PER_ADDRESS), "TENANT_LINK_REQUESTS_PER_HOUR": str(PER_TENANT)}
    with Service(folder / "data", **one_document(folder), **limits, FORWARDED_ALLOW_IPS="127.0.0.1") as running:
        yield running


def link(service: Service, tenant: str = "default", document_id: str = "none", grant: Grant | None = None) -> str:
    """A link; there is no document "none", and its link is counted all the same."""
    signer = LinkSigner(bytes.fromhex((service.data_dir / "link.key").read_text()), 600)
    return f"/v1/documents/{document_id}/view?version=1&token={signer.sign(tenant, document_id, 1, grant)}"


def opened(service: Service, address: str, target: str) -> httpx.Response:
    with service.client("", **{"X-Forwarded-For": address, "Accept": "application/json"}) as anybody:
        return anybody.get(target)


def test_an_address_then_a_tenant_has_had_enough_and_other_tenants_and_keys_have_not(limited: Service) -> None:
    limited.new_key("acme")
    ours, theirs = link(limited), link(limited, "acme")
    first = [opened(limited, "192.0.2.1", ours) for _ in range(PER_ADDRESS + 3)]
    assert [answer.status_code for answer in first] == [410] * PER_ADDRESS + [429] * 3
    assert first[-1].json()["type"] == "urn:pustaka:problem:rate-limited"
    assert 0 < int(first[-1].headers["Retry-After"]) <= 3600
    # Another address has its own, and so has a network of IPv6, whichever address of it is used.
    assert opened(limited, "192.0.2.2", ours).status_code == 410
    six = [opened(limited, f"2001:db8:1:2::{number}", ours).status_code for number in range(PER_ADDRESS + 1)]
    assert six == [410] * PER_ADDRESS + [429]
    assert opened(limited, "192.0.2.3", ours).status_code == 410  # the tenth: what was refused is not among them
    refused = opened(limited, "192.0.2.4", ours)
    assert (refused.status_code, "this service" in refused.json()["detail"]) == (429, True)
    assert opened(limited, "192.0.2.4", theirs).status_code == 410
    with limited.client() as client:
        assert client.get("/v1/documents/none/view").status_code == 404
    guessed = [opened(limited, "192.0.2.9", f"/v1/shared?token={number}").status_code for number in range(6)]
    assert guessed == [404] * PER_ADDRESS + [429] * 2


def test_a_person_is_told_in_a_page(limited: Service) -> None:
    target = link(limited, "acme")
    for _ in range(PER_ADDRESS):
        opened(limited, "192.0.2.9", target)
    with limited.client("", **{"X-Forwarded-For": "192.0.2.9", "Accept": "text/html"}) as browser:
        page = browser.get(target)
    assert (page.status_code, page.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert "from your address" in page.text


def test_a_stranger_cannot_choose_the_address_it_is_counted_by(tmp_path: Path) -> None:
    with Service(tmp_path / "data", **one_document(tmp_path), LINK_REQUESTS_PER_HOUR="2") as service:
        target = link(service)
        answers = [opened(service, f"192.0.2.{number}", target).status_code for number in range(4)]
    assert answers == [410, 410, 429, 429]


def test_a_link_that_was_revoked_is_counted_as_others_are(tmp_path: Path) -> None:
    question = "How much does a dormitory room cost?"
    with Service(tmp_path / "data", **one_document(tmp_path), LINK_REQUESTS_PER_HOUR=str(PER_ADDRESS)) as service:
        await_knowledge(service, question)
        with service.client() as client:
            (cited, *_) = ask(client, question).json()["citations"]
            revoked = link(service, document_id=cited["document_id"], grant=Grant(generation=7))
            answers = [opened(service, "192.0.2.1", revoked).status_code for _ in range(PER_ADDRESS + 2)]
            assert answers == [403] * PER_ADDRESS + [429] * 2
            changed = [opened(service, "192.0.2.1", f"{revoked}x").status_code for _ in range(PER_ADDRESS)]
            assert changed == [403] * PER_ADDRESS  # it costs us nothing to refuse what we did not make


def test_an_address_has_so_many_documents_open_at_once() -> None:
    limits = LinkLimits("redis://127.0.0.1:1", per_address=1, per_tenant=1)
    with ExitStack() as stack:
        for _ in range(250):
            stack.callback(limits.enter("192.0.2.1"))
        with pytest.raises(TooManyAtOnce):
            limits.enter("192.0.2.1")
        limits.enter("192.0.2.2")()
    limits.enter("192.0.2.1")()
