"""What takes and speaks questions: configured endpoints, or Prosa, else nothing."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

from bootstrap.metric_sources import watch_gate
from bootstrap.models import make_gate
from bootstrap.parts import run_until_closed
from config import Endpoint, Settings
from providers.gate import Gate
from providers.openai_wire import OpenAIWire
from providers.retries import CallLimits
from providers.speech.emotion import EmotionService
from providers.speech.endpoint import EndpointSpeechToText, EndpointTextToSpeech
from providers.speech.prosa import ProsaSpeechToText, ProsaTextToSpeech
from providers.speech.prosa_wire import ProsaWire
from providers.speech.text_emotion import TextEmotion
from utils.ports import Embedder, EmotionModel, ModelObserver, SpeechToText, TextToSpeech
from utils.telemetry import Telemetry

_CONNECT_TIMEOUT_S = 5.0
Wire = TypeVar("Wire", OpenAIWire, ProsaWire)


def open_speech_to_text(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry) -> SpeechToText | None:
    """What transcribes recordings, closed with *stack*; None where none is configured."""
    limits = CallLimits(timeout_s=settings.stt_timeout, max_retries=1)
    open_gate = partial(_open_gate, settings, telemetry, "speech_to_text", telemetry.speech_to_text)
    model: EndpointSpeechToText | ProsaSpeechToText
    if prosa := settings.prosa_speech_to_text:
        model = ProsaSpeechToText(_open_wire(ProsaWire, prosa, limits), prosa.model, limits=limits, gate=open_gate())
    elif endpoint := settings.speech_to_text_endpoint:
        wire = _open_wire(OpenAIWire, endpoint, limits)
        model = EndpointSpeechToText(wire, endpoint.model, limits=limits, gate=open_gate())
    else:
        return None
    stack.push_async_callback(model.aclose)
    if isinstance(model, EndpointSpeechToText):
        run_until_closed(stack, model.await_model())
    return model


def open_text_to_speech(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry) -> TextToSpeech | None:
    """What speaks answers, closed with *stack*; None where none is configured."""
    limits = CallLimits(timeout_s=settings.tts_timeout, max_retries=1)
    open_gate = partial(_open_gate, settings, telemetry, "text_to_speech", telemetry.text_to_speech)
    model: EndpointTextToSpeech | ProsaTextToSpeech
    if prosa := settings.prosa_text_to_speech:
        rate = settings.prosa_tts_sample_rate
        model = ProsaTextToSpeech(
            _open_wire(ProsaWire, prosa, limits), prosa.model, rate, limits=limits, gate=open_gate()
        )
    elif endpoint := settings.text_to_speech_endpoint:
        wire, voice = _open_wire(OpenAIWire, endpoint, limits), settings.tts_voice
        model = EndpointTextToSpeech(wire, endpoint.model, voice, limits=limits, gate=open_gate())
    else:
        return None
    stack.push_async_callback(model.aclose)
    return model


def open_emotion_model(
    stack: AsyncExitStack, settings: Settings, telemetry: Telemetry, embedder: Embedder
) -> EmotionModel | None:
    """What tells emotions of recordings, or of their words by *embedder*, closed with *stack*; None where none is."""
    if not settings.emotion_endpoint:
        return _open_text_emotion(stack, settings, embedder)
    limits = CallLimits(timeout_s=settings.emotion_timeout, max_retries=1)
    wire = _open_wire(OpenAIWire, settings.emotion_endpoint, limits)
    gate = _open_gate(settings, telemetry, "emotion", telemetry.emotion_model)
    model = EmotionService(wire, limits=limits, gate=gate)
    stack.push_async_callback(model.aclose)
    return model


def _open_text_emotion(stack: AsyncExitStack, settings: Settings, embedder: Embedder) -> EmotionModel | None:
    takes_recordings = settings.speech_to_text_endpoint or settings.prosa_speech_to_text
    if settings.text_emotion == "off" or not takes_recordings:
        return None
    model = TextEmotion(embedder)
    run_until_closed(stack, model.prepare())
    return model


def _open_gate(settings: Settings, telemetry: Telemetry, kind: str, observer: ModelObserver) -> Gate:
    gate = make_gate(settings, f"{kind.replace('_', '-')} model", observer)
    watch_gate(telemetry, kind, gate)
    return gate


def _open_wire(make: Callable[..., Wire], endpoint: Endpoint, limits: CallLimits) -> Wire:
    connect_timeout_s = min(_CONNECT_TIMEOUT_S, limits.timeout_s)
    return make(endpoint.base_url, endpoint.api_key, connect_timeout_s=connect_timeout_s)
