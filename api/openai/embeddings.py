"""`POST /v1/embeddings`: vectors of texts, by the model that searches here.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from flask import Response
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from api.access import requires
from api.description_parts import OPENAI_ERRORS
from api.openai.blueprint import openai_blueprint
from api.openai.messages import name_form
from api.openai.parameters import Ignored, give_example
from api.responses import respond
from api.schemas import NON_BLANK
from api.services import services
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import NotFound
from utils.normal_forms import normalize
from utils.ports import Embedder, FloatArray
from utils.token_usage import estimate_tokens
from utils.validation import refuse_field

_MAX_TEXTS, _LONGEST_TEXT, _MAX_CHARACTERS = 32, 2_000, 20_000  # some 10 seconds of a processor, behind documents
_ANY_MODEL = "default"

_Text = Annotated[str, Field(min_length=1, max_length=_LONGEST_TEXT), NON_BLANK]
_Texts = Annotated[list[_Text], Field(min_length=1, max_length=_MAX_TEXTS)]


class OpenAiEmbeddingIn(BaseModel):
    """One text, or several with 20,000 characters together; no tokens."""

    model_config = ConfigDict(strict=True, extra="forbid", **give_example({"model": "default", "input": "Room rent"}))

    input: Annotated[Annotated[_Text, Tag("text")] | Annotated[_Texts, Tag("parts")], Discriminator(name_form)]
    model: str = Field(min_length=1, max_length=200, description="As answers name it, or default.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, description="That of the model; another one is refused.")
    input_type: Literal["passage", "query"] = Field(
        "passage", description="What the texts are: the model reads questions in another way. Not of OpenAI's API."
    )
    user: Ignored = None


class OpenAiEmbedding(BaseModel):
    """The vector of a text, of length 1."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="As base64: 32-bit floats, little-endian.")


class OpenAiEmbeddingUsage(BaseModel):
    """Estimated by the number of characters."""

    prompt_tokens: int
    total_tokens: int


class OpenAiEmbeddingsOut(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"]
    model: str
    data: list[OpenAiEmbedding]
    usage: OpenAiEmbeddingUsage


@openai_blueprint.post(
    "/v1/embeddings",
    operation_id="createEmbedding",
    summary="Embed texts",
    description="By the model of the index that serves now. It is done behind the documents that wait for theirs.",
    responses={200: OpenAiEmbeddingsOut, 404: None},
    openapi_extensions={OPENAI_ERRORS: True},
)
@requires(Scope.SEARCH, repeats="none")
async def create_embeddings(ctx: Principal, body: OpenAiEmbeddingIn) -> Response:
    """The vectors of the texts. 404: there is no such model here; 503: too many were before them."""
    embedder = services().retriever.embedder
    texts = [body.input] if isinstance(body.input, str) else body.input
    length = _check(body, texts, embedder)
    vectors = await _embed(embedder, texts, body.input_type)
    data = [
        {"object": "embedding", "index": index, "embedding": _encode(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    tokens = estimate_tokens(length)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    view: dict[str, Any] = {"object": "list", "model": embedder.model, "data": data, "usage": usage}
    return respond(OpenAiEmbeddingsOut.model_validate(view))


def _check(body: OpenAiEmbeddingIn, texts: Sequence[str], embedder: Embedder) -> int:
    """How many characters the model has to read.

    Raises:
        NotFound: another model is wanted.
        BadInput: vectors of another length are, or the texts are too long: some characters become many to the model.
    """
    if body.model not in (_ANY_MODEL, embedder.model):
        raise NotFound(f"The embedding model here is {embedder.model!r}: name that, or {_ANY_MODEL!r}.")
    if body.dimensions not in (None, embedder.dimension):
        raise refuse_field(f"The vectors of this model have {embedder.dimension} dimensions.", "dimensions")
    length = sum(len(normalize("NFKC", text)) for text in texts)
    if length > _MAX_CHARACTERS:
        raise refuse_field(f"The texts may have {_MAX_CHARACTERS:,} characters together. Send fewer at once.", "input")
    return length


async def _embed(embedder: Embedder, texts: Sequence[str], input_type: str) -> Sequence[FloatArray]:
    if input_type == "query":
        return [await embedder.embed_query(text) for text in texts]
    return list(await embedder.embed_passages(texts))


def _encode(vector: FloatArray, encoding_format: str) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector.astype(np.dtype("<f4")).tobytes()).decode("ascii")
    numbers: list[float] = vector.tolist()
    return numbers
