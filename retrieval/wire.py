"""The few requests of a search, in Qdrant's REST format over aiohttp.

Everything else goes through `qdrant-client`. For these its models and httpx under it cost 11 to 21 ms of CPU a search,
three times what a whole turn has left beside its model; `benchmarks/searches.py` has what is left of that.

Wire format: https://api.qdrant.tech/api-reference
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

import aiohttp
import httpx
import numpy as np
import orjson
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from yarl import URL

from retrieval.qdrant import CONNECTIONS, KEPT_IDLE_S, NO_ANSWER
from utils.errors import StoreUnavailable
from utils.outbound import find_proxy, open_session, read_at_most
from utils.ports import FloatArray

Json = Mapping[str, Any]
_LARGEST_ANSWER = 64 * 2**20


class Wire(Protocol):
    """Asks a Qdrant server to read something."""

    async def ask(self, collection: str, what: str, body: Json) -> Any:
        """The `result` for *body*, posted to *what* of *collection*, such as "points/query/batch".

        Raises:
            StoreUnavailable: the server does not answer.
            ApiException: it refuses, or its answer is not Qdrant's; for `translate_client_errors`.
        """

    async def close(self) -> None:
        """Let go of the connections."""


class HttpWire:
    """`Wire` to the server at *url*, which has its port in it; opened in the event loop that asks first."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float) -> None:
        self._url, self._timeout_s = url.rstrip("/"), timeout_s
        # Unpacking a compressed answer takes longer than a local network does.
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if api_key:
            self._headers["api-key"] = api_key
        self._session: aiohttp.ClientSession | None = None
        self._proxy: str | None = None

    async def ask(self, collection: str, what: str, body: Json) -> Any:
        """See `Wire`. A connection that the server closed when it was about to be used is replaced, once."""
        data = orjson.dumps(body)
        try:
            try:
                answer = await self._post(_make_url(self._url, collection, what), data)
            except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                answer = await self._post(_make_url(self._url, collection, what), data)
        except aiohttp.ClientResponseError:
            raise StoreUnavailable(NO_ANSWER) from None  # it holds the headers, and the key in them
        except (aiohttp.ClientError, OSError) as exc:
            raise StoreUnavailable(NO_ANSWER) from exc
        try:
            return orjson.loads(answer)["result"]
        except (ValueError, TypeError, KeyError) as exc:
            raise ResponseHandlingException(exc) from exc

    async def close(self) -> None:
        """Close the connections; in the event loop that used them."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, url: URL, data: bytes) -> bytes:
        async with self._open_session().post(url, data=data, proxy=self._proxy, allow_redirects=False) as response:
            try:
                answer = await read_at_most(response, _LARGEST_ANSWER)
            except ValueError as exc:
                raise ResponseHandlingException(exc) from exc
            if response.status != HTTPStatus.OK:
                raise UnexpectedResponse(response.status, response.reason or "", answer, httpx.Headers())
            return answer

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._proxy = find_proxy(self._url)
            limit_s = self._timeout_s
            self._session = open_session(
                self._url,
                headers=self._headers,
                # Each wait for itself, as qdrant-client counts them.
                timeout=aiohttp.ClientTimeout(total=None, connect=limit_s, sock_connect=limit_s, sock_read=limit_s),
                connections=CONNECTIONS,
                idle_s=KEPT_IDLE_S,
            )
        return self._session


def write_vector(vector: FloatArray) -> orjson.Fragment:
    """*vector* as JSON, to be put into a request any number of times: writing 384 numbers takes as long as a parse."""
    return orjson.Fragment(orjson.dumps(np.ascontiguousarray(vector, np.float32), option=orjson.OPT_SERIALIZE_NUMPY))


@lru_cache(64)
def _make_url(base: str, collection: str, what: str) -> URL:
    return URL(f"{base}/collections/{quote(collection, safe='')}/{what}", encoded=True)
