"""Messages to webhooks, signed.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import time
from base64 import b64encode

import aiohttp

from utils.outbound import Guard, open_session

_TIMEOUT_S = 15
_TIMEOUT = aiohttp.ClientTimeout(total=_TIMEOUT_S, sock_connect=5)


def make_headers(secret: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """What tells a receiver which message it is, from when, and that it is from us."""
    signed = b".".join([message_id.encode(), str(timestamp_s).encode(), body])
    signature = b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
        "Content-Type": "application/json",
        "User-Agent": "pustaka-webhooks",
    }


async def send(url: str, guard: Guard, *, secret: bytes, message_id: str, body: bytes) -> str | None:
    """Send it once; None where the receiver took it, else why not. Its answer is not read, redirects not followed."""
    headers = make_headers(secret, message_id, int(time.time()), body)
    try:
        async with (
            open_session(url, headers=headers, timeout=_TIMEOUT, connections=1, idle_s=1, guard=guard) as http,
            http.post(url, data=body, allow_redirects=False) as response,
        ):
            return None if 200 <= response.status < 300 else f"It answered with the status {response.status}."
    except TimeoutError:
        return f"It did not answer within {_TIMEOUT_S} s."
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return _explain(exc)


def _explain(error: Exception) -> str:
    refused = error if isinstance(error, PermissionError) else getattr(error, "os_error", None)
    if isinstance(refused, PermissionError):
        return f"{refused} The operator can allow it in WEBHOOK_NETWORKS."
    return "It cannot be reached."
