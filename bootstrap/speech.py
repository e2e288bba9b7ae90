"""What takes and speaks questions: configured endpoints, or Prosa, else nothing."""

from contextlib import AsyncExitStack

from bootstrap.metric_sources import watch_gate
from bootstrap.models import make_gate
from config import Endpoint, Settings
from providers.openai_wire import OpenAIWire
from providers.retries import CallLimits
from providers.speech.endpoint import EndpointSpeechToText, EndpointTextToSpeech
from providers.speech.prosa import ProsaSpeechToText, ProsaTextToSpeech, ProsaWire
from utils.ports import SpeechToText, TextToSpeech
from utils.telemetry import Telemetry

_CONNECT_TIMEOUT_S = 5.0


def open_speech_to_text(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry) -> SpeechToText | None:
    """What transcribes recordings, closed with *stack*; None where none is configured."""
    endpoint, limits = settings.speech_to_text_endpoint, CallLimits(timeout_s=settings.stt_timeout, max_retries=1)
    prosa = settings.prosa_speech_to_text
    if endpoint is None and prosa is None:
        return None
    gate = make_gate(settings, "speech-to-text model", telemetry.speech_to_text)
    watch_gate(telemetry, "speech_to_text", gate)
    model: EndpointSpeechToText | ProsaSpeechToText
    if prosa:
        model = ProsaSpeechToText(_open_prosa(prosa, limits), prosa.model, limits=limits, gate=gate)
    elif endpoint:
        model = EndpointSpeechToText(_open_wire(endpoint, limits), endpoint.model, limits=limits, gate=gate)
    stack.push_async_callback(model.aclose)
    return model


def open_text_to_speech(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry) -> TextToSpeech | None:
    """What speaks answers, closed with *stack*; None where none is configured."""
    endpoint, limits = settings.text_to_speech_endpoint, CallLimits(timeout_s=settings.tts_timeout, max_retries=1)
    prosa = settings.prosa_text_to_speech
    if endpoint is None and prosa is None:
        return None
    gate = make_gate(settings, "text-to-speech model", telemetry.text_to_speech)
    watch_gate(telemetry, "text_to_speech", gate)
    model: EndpointTextToSpeech | ProsaTextToSpeech
    if prosa:
        rate = settings.prosa_tts_sample_rate
        model = ProsaTextToSpeech(_open_prosa(prosa, limits), prosa.model, rate, limits=limits, gate=gate)
    elif endpoint:
        wire = _open_wire(endpoint, limits)
        model = EndpointTextToSpeech(wire, endpoint.model, settings.tts_voice, limits=limits, gate=gate)
    stack.push_async_callback(model.aclose)
    return model


def _open_wire(endpoint: Endpoint, limits: CallLimits) -> OpenAIWire:
    connect_timeout_s = min(_CONNECT_TIMEOUT_S, limits.timeout_s)
    return OpenAIWire(endpoint.base_url, endpoint.api_key, connect_timeout_s=connect_timeout_s)


def _open_prosa(endpoint: Endpoint, limits: CallLimits) -> ProsaWire:
    connect_timeout_s = min(_CONNECT_TIMEOUT_S, limits.timeout_s)
    return ProsaWire(endpoint.base_url, endpoint.api_key, connect_timeout_s=connect_timeout_s)
