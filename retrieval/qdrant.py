"""Reaching a Qdrant server: the client as we use it, and its failures in our words."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from utils.errors import StoreRefused, StoreUnavailable

logger = logging.getLogger(__name__)

CONNECTIONS = 100
# Qdrant closes a connection that was idle for 5 s: let go of it before.
KEPT_IDLE_S = 3.0
_OLDEST = (1, 13)  # the first that can tell which passages have no vector yet
_KEY_REFUSED = (401, 403)
_MAY_PASS = (408, 425, 429)
NOT_A_QDRANT = "What answers at QDRANT_URL is not a Qdrant server: set it to the address of Qdrant's REST interface."
NO_ANSWER = "The Qdrant server at QDRANT_URL does not answer."
_WRONG_KEY = "The Qdrant server refuses the key: set QDRANT_API_KEY to one that may read and write."
_NO_KEY = "The Qdrant server asks for a key: set QDRANT_API_KEY."


class CollectionGone(StoreUnavailable):
    """A collection that was there is not any more; preparing the index again makes it again."""


class PointGone(StoreUnavailable):
    """A point that was there a moment ago is not any more."""


def connect(url: str, *, api_key: str | None, timeout_s: float) -> AsyncQdrantClient:
    """A client that has not asked for anything yet."""
    return AsyncQdrantClient(
        url=url,
        # Given as `api_key` it would warn of plain HTTP, which inside a cluster is what people have.
        headers={"api-key": api_key} if api_key else None,
        timeout=timeout_s,  # type: ignore[arg-type] # it rounds up itself
        # Its own check runs in a thread and prints a warning; `read_server_version` is ours.
        check_compatibility=False,
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=KEPT_IDLE_S),
    )


def make_rest_address(client: AsyncQdrantClient) -> str:
    """Where *client* reaches the server: QDRANT_URL with the port that goes without saying."""
    return str(client.http.client.host)


async def read_server_version(client: AsyncQdrantClient) -> tuple[int, int]:
    """Major and minor version of the server.

    Raises:
        StoreUnavailable: it does not answer.
        StoreRefused: it is no Qdrant, or one that is too old.
    """
    try:
        info = await client.info()
        version = int(info.version.split(".")[0]), int(info.version.split(".")[1])
    except UnexpectedResponse as exc:
        if exc.status_code in _KEY_REFUSED or _may_pass(exc.status_code):
            raise
        raise StoreRefused(NOT_A_QDRANT) from exc
    except (ValueError, IndexError) as exc:
        raise StoreRefused(NOT_A_QDRANT) from exc
    if "qdrant" not in info.title.lower():
        raise StoreRefused(NOT_A_QDRANT)
    if version < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise StoreRefused(f"The Qdrant server has version {info.version}: {oldest} or newer is needed.")
    return version


@contextmanager
def translate_client_errors(*, with_key: bool) -> Iterator[None]:
    """Turn what the client raises inside into our errors; *with_key* is whether the client was given a key.

    Raises:
        StoreUnavailable: the server did not answer, or cannot serve now.
        StoreRefused: it answers, but not as needed.
    """
    try:
        yield
    except ResponseHandlingException as exc:
        if isinstance(exc.source, httpx.TransportError):
            raise StoreUnavailable(NO_ANSWER) from exc
        raise StoreRefused(NOT_A_QDRANT) from exc
    except UnexpectedResponse as exc:
        raise _make_refusal(exc, with_key=with_key) from exc
    except (ApiException, QdrantException) as exc:
        raise StoreUnavailable("The Qdrant server cannot serve now.") from exc


@contextmanager
def translate_errors() -> Iterator[None]:
    """Around the reading of an answer that no model of the client has checked.

    Raises:
        StoreRefused: it is not what Qdrant answers.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise StoreRefused(NOT_A_QDRANT) from exc


def _make_refusal(exc: UnexpectedResponse, *, with_key: bool) -> StoreUnavailable:
    reason = exc.content.decode(errors="replace")
    if exc.status_code in _KEY_REFUSED:
        return StoreRefused(_WRONG_KEY if with_key else _NO_KEY)
    if exc.status_code == 404 and "No point with id" in reason:
        return PointGone("A passage was removed while it was written.")
    if exc.status_code == 404 and "ollection" in reason:
        return CollectionGone("The Qdrant collection that QDRANT_COLLECTION_NAME names no longer exists.")
    if _may_pass(exc.status_code):
        return StoreUnavailable("The Qdrant server cannot serve now.")
    logger.error("Qdrant refused a request with %s: %s", exc.status_code, reason[:500])
    return StoreRefused("The Qdrant server refused a request: see the log.")


def _may_pass(status: int | None) -> bool:
    return status is None or status >= 500 or status in _MAY_PASS
