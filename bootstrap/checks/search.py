"""The embedding model, and the index its vectors are in: together, since they have to fit each other."""

from collections.abc import AsyncIterator
from importlib.metadata import version

import qdrant_edge

from bootstrap.checks.models import EMBEDDING_MODEL, Space, check_embedding_model
from bootstrap.checks.settings import Installation
from retrieval.server_check import check_server
from utils.errors import ProblemError
from utils.findings import Finding, ok, skipped, split_message

_INDEX = "Qdrant"
_TIMEOUT_S = 8.0
_START_QDRANT = "Start it, or correct QDRANT_URL; unset it for an embedded index."


async def check_search(installation: Installation) -> AsyncIterator[Finding]:
    """The model, then the index by what is known of its vectors."""
    space: Space | None = None
    if why := installation.explain_skip("embedding_", "openai_", asks=lambda settings: settings.embedding_endpoint):
        yield skipped(EMBEDDING_MODEL, why)
    else:
        finding, space = await check_embedding_model(installation.settings)
        yield finding
    if why := installation.explain_skip("qdrant_", asks=lambda settings: settings.qdrant_url):
        yield skipped(_INDEX, why)
    else:
        yield await _check_index(installation, space)


async def _check_index(installation: Installation, space: Space | None) -> Finding:
    settings = installation.settings
    if settings.qdrant_url is None:
        return ok(_INDEX, f"embedded: {qdrant_edge.__name__} {version('qdrant-edge-py')}, in DATA_DIR")
    key = settings.qdrant_api_key.get_secret_value() if settings.qdrant_api_key else None
    collection = settings.qdrant_collection_name
    try:
        text = await check_server(settings.qdrant_url, key, collection, space, timeout_s=_TIMEOUT_S)
    except ProblemError as exc:
        return split_message(_INDEX, exc.detail, _START_QDRANT)
    return ok(_INDEX, text) if space else skipped(_INDEX, text)
