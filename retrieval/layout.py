"""Our collection on a Qdrant server: made where it is missing, otherwise checked, never changed into something else."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from retrieval.index import ModelMismatch
from retrieval.langchain import LangchainCollection, recognise
from retrieval.qdrant import read_server_version
from retrieval.ranking import DAYS, FILTERED, MEANING, TENANT, WORDS
from utils.errors import StoreRefused

logger = logging.getLogger(__name__)

_OTHER_NAME = "set QDRANT_COLLECTION_NAME to a name that is not in use yet"
BESIDE = "-pustaka"  # ends the name of ours, where another is there that was written with LangChain
_MODEL = "embedding_model"  # the key in the collection's metadata
_METADATA_SINCE, _CORPUS_IDF_SINCE = (1, 16), (1, 19)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the passages are on the server.

    `own` is the collection we write; `foreign` one written with LangChain, which the default tenant reads along.
    `idf_by_tenant` is whether the server counts document frequencies over a tenant's own passages.
    """

    own: str
    foreign: LangchainCollection | None
    idf_by_tenant: bool


async def prepare_layout(client: AsyncQdrantClient, *, collection: str, dimension: int, model: str) -> Layout:
    """Find or make our collection for the vectors of *model*; the client's exceptions pass through.

    Where *collection* was written with LangChain, ours is the one beside it, `<collection>-pustaka`.

    Raises:
        StoreRefused: the server is not what we need, or the collection was made for something else.
    """
    version = await read_server_version(client)
    info, own, foreign = await _find(client, collection), collection, None
    if info is not None and not is_ours(info):
        foreign = await recognise(client, collection, info.config.params.vectors, dimension=dimension)
        own = f"{collection}{BESIDE}"
        info = await _find(client, own)
    if info is None:
        info = await _make(client, own, dimension=dimension, model=model, with_metadata=version >= _METADATA_SINCE)
    _require_fitting(own, info, dimension=dimension, model=model)
    await _index_fields(client, own, info.payload_schema)
    if version < _CORPUS_IDF_SINCE:
        logger.warning("Qdrant before 1.19 counts how rare a word is over the passages of all tenants together.")
    return Layout(own, foreign, idf_by_tenant=version >= _CORPUS_IDF_SINCE)


async def move_alias(client: AsyncQdrantClient, alias: str, collection: str) -> None:
    """Let *alias* stand for *collection*, in one step where it stood for another.

    Source: https://api.qdrant.tech/api-reference/aliases/update-aliases
    """
    aliases = {each.alias_name: each.collection_name for each in (await client.get_aliases()).aliases}
    if aliases.get(alias) == collection:
        return
    steps: list[models.AliasOperations] = []
    if alias in aliases:
        steps.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    create = models.CreateAlias(collection_name=collection, alias_name=alias)
    await client.update_collection_aliases([*steps, models.CreateAliasOperation(create_alias=create)])
    logger.info("The Qdrant alias %s stands for the collection %s now.", alias, collection)


async def _find(client: AsyncQdrantClient, name: str) -> models.CollectionInfo | None:
    return await client.get_collection(name) if await client.collection_exists(name) else None


async def _make(
    client: AsyncQdrantClient, name: str, *, dimension: int, model: str, with_metadata: bool
) -> models.CollectionInfo:
    try:
        await client.create_collection(
            name,
            vectors_config={MEANING: models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
            sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            metadata={"made_by": "pustaka", _MODEL: model} if with_metadata else None,
        )
        logger.info("Created the Qdrant collection %s.", name)
    except UnexpectedResponse as exc:
        if exc.status_code != 409:  # another process was quicker
            raise
    return await client.get_collection(name)


def is_ours(info: models.CollectionInfo) -> bool:
    """Whether a collection has the vectors that ours have."""
    params = info.config.params
    return isinstance(params.vectors, dict) and MEANING in params.vectors and WORDS in (params.sparse_vectors or {})


def _require_fitting(name: str, info: models.CollectionInfo, *, dimension: int, model: str) -> None:
    if not is_ours(info) or not isinstance(info.config.params.vectors, dict):
        raise StoreRefused(f"The Qdrant collection {name} was not made by this service: {_OTHER_NAME}.")
    dense = info.config.params.vectors[MEANING]
    noted: str | None = (info.config.metadata or {}).get(_MODEL)
    stored_model = noted or model
    if dense.size != dimension:
        raise ModelMismatch(
            f"The Qdrant collection {name} holds vectors of {dense.size} numbers, those of the embedding model "
            f"{model} have {dimension}: {_OTHER_NAME}, or EMBEDDING_MODEL to the model it was made with.",
            model=noted,
            dimension=dense.size,
        )
    if stored_model != model:
        raise ModelMismatch(
            f"The Qdrant collection {name} was made with the embedding model {stored_model}, not with {model}: "
            f"{_OTHER_NAME}, or EMBEDDING_MODEL to the model it was made with.",
            model=noted,
            dimension=dense.size,
        )
    words = (info.config.params.sparse_vectors or {})[WORDS]
    if dense.distance != models.Distance.COSINE or words.modifier != models.Modifier.IDF:
        raise StoreRefused(f"The Qdrant collection {name} measures likeness in another way than ours: {_OTHER_NAME}.")


async def _index_fields(
    client: AsyncQdrantClient, name: str, present: Mapping[str, models.PayloadIndexInfo] | None
) -> None:
    """Index the fields that are filtered by and not indexed yet: each time, for a start that was broken off."""
    for field in FILTERED:
        if field not in (present or {}):
            schema = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=field == TENANT or None)
            await client.create_payload_index(name, field, field_schema=schema, wait=True)
    for field in DAYS:
        if field not in (present or {}):
            days = models.DatetimeIndexParams(type=models.DatetimeIndexType.DATETIME)
            await client.create_payload_index(name, field, field_schema=days, wait=True)
