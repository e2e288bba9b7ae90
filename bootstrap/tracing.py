"""Sends traces of turns to an OpenTelemetry collector, where one is configured. Off by default."""

import asyncio
import logging
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from config import VERSION, Settings
from utils.observers import ModelObservers, RunObservers
from utils.processes import StartError
from utils.telemetry import Telemetry

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

OTEL_EXTRA = "requirements-otel.txt"
_FLUSH_S = 2.0  # what the end of the process waits for
_TIMEOUT_S = 5.0

logger = logging.getLogger("bootstrap.tracing")


async def trace(stack: AsyncExitStack, settings: Settings, telemetry: Telemetry) -> Telemetry:
    """*telemetry*, with traces beside it where OTEL_EXPORTER_OTLP_ENDPOINT says so; ended with *stack*.

    Spans are sent from a thread of their own: no turn waits for the collector, and what does not fit in a queue of a
    few thousand is lost.

    Raises:
        StartError: the packages it needs are missing.
    """
    if settings.otel_exporter_otlp_endpoint is None:
        return telemetry
    try:
        from utils.telemetry.tracing import TracedModel, TracedRuns

        tracer = _open_tracer(stack, settings, f"{settings.otel_exporter_otlp_endpoint}/v1/traces")
    except ImportError as exc:
        raise StartError(f"OTEL_EXPORTER_OTLP_ENDPOINT needs more packages: pip install -r {OTEL_EXTRA}") from exc
    runs = TracedRuns(tracer)
    chat, embedding = settings.chat_endpoint, settings.embedding_endpoint
    chat_model = TracedModel(tracer, runs, operation="chat", model=chat.model if chat else "")
    embedding_model = TracedModel(tracer, runs, operation="embeddings", model=embedding.model if embedding else "")
    tenant_models = TracedModel(tracer, runs, operation="chat", model="of a tenant")
    return replace(
        telemetry,
        runs=RunObservers(telemetry.runs, runs),
        chat_model=ModelObservers(telemetry.chat_model, chat_model),
        tenant_models=ModelObservers(telemetry.tenant_models, tenant_models),
        embedding_model=ModelObservers(telemetry.embedding_model, embedding_model),
    )


def _open_tracer(stack: AsyncExitStack, settings: Settings, endpoint: str) -> "Tracer":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(
        # Not a global one: it belongs to this service, and is closed with it.
        resource=Resource.create({"service.name": settings.otel_service_name, "service.version": VERSION}),
        sampler=ParentBasedTraceIdRatio(settings.otel_traces_sampler_arg),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=_parse_headers(settings), timeout=_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))

    async def close() -> None:
        # In a thread that the process does not wait for: with a collector that hangs it takes half a minute.
        ending = threading.Thread(target=provider.shutdown, name="end traces", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _FLUSH_S)

    stack.push_async_callback(close)
    logger.info("Traces of turns are sent to %s, without what people wrote.", urlsplit(endpoint).hostname)
    return provider.get_tracer("pustaka", VERSION)


def _parse_headers(settings: Settings) -> dict[str, str]:
    """Names and values as in `name=value,name=value`, percent-encoded.

    Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
    """
    headers = settings.otel_exporter_otlp_headers
    pairs = (pair.partition("=") for pair in (headers.get_secret_value() if headers else "").split(",") if "=" in pair)
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}
