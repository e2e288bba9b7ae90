"""Messages to webhooks: how they are signed, and where they do not go."""

from ipaddress import ip_network

import pytest

from providers.webhooks import make_headers, send
from tests.fakes.webhook_receiver import WebhookReceiver
from utils.outbound import Guard
from utils.reach import Reach


def test_a_signature_is_that_of_the_specification() -> None:
    """Worked out with openssl."""
    headers = make_headers(b"k" * 32, "msg_1", 1_700_000_000, b'{"type":"webhook.test"}')
    assert headers["webhook-signature"] == "v1,WWjbRiPdVdTDtl+PaEblS1S8QX2cO5C5bOo2y/MeouM="


@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8",)])
async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(networks: tuple[str, ...]) -> None:
    guard = Guard.load(Reach(tuple(map(ip_network, networks)), ports=None))
    with WebhookReceiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        failure = await send(url, guard, secret=b"k", message_id="msg_1", body=b"{}")
    assert failure is not None
    assert "WEBHOOK_NETWORKS" in failure
    assert receiver.received == []
