"""Errors to Sentry and turns to LangSmith, where they are configured. Off by default."""

import atexit
import logging
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from config import VERSION, Settings
from utils.errors import ProblemError
from utils.logging_config import request_id
from utils.processes import StartError

if TYPE_CHECKING:
    from sentry_sdk.integrations import Integration
    from sentry_sdk.types import Event, Hint

logger = logging.getLogger("bootstrap.observability")

SENTRY_PACKAGE = "sentry-sdk==2.75.0"
_FLUSH_S = 2.0  # what the end of the process waits for, for each of the two
_QUEUED_RUNS = 2_000  # a LangSmith that is away must not fill the memory; a turn is about 20 runs of a few kB
# All that an event may hold besides. What is not here, such as messages and requests, may hold what people wrote.
_EVENT_PARTS = ("event_id", "timestamp", "platform", "level", "logger", "release", "environment", "server_name", "sdk")
_EXCEPTION_PARTS = ("type", "module", "mechanism")
_FRAME_PARTS = ("filename", "abs_path", "function", "module", "lineno", "in_app")


def start_observability(settings: Settings) -> None:
    """Report errors to Sentry and turns to LangSmith as far as they are configured; else nothing is sent anywhere.

    Call it once, in the process that serves (after a fork) and before the first turn. Both send from threads of their
    own: a turn waits for neither. What is still to be sent at the end of the process gets two seconds.

    Raises:
        StartError: what is configured cannot work.
    """
    _start_sentry(settings)
    _start_langsmith(settings)


def _start_langsmith(settings: Settings) -> None:
    import langsmith  # not needed by commands, and 0.1 s
    from langsmith.utils import LangSmithUserError

    if not settings.langchain_tracing_v2:
        # Said outright: langsmith would look into the environment itself, and read it differently.
        langsmith.configure(enabled=False)
        return
    if settings.langchain_api_key is None:
        raise StartError(
            "LANGCHAIN_TRACING_V2 is on, but there is no LANGCHAIN_API_KEY: set it, or LANGCHAIN_TRACING_V2=false."
        )
    # What langsmith takes from the environment alone, where a `.env` file does not reach: the only writing there beside
    # providers/embeddings. Its threads would else hold up the end of the process; the project it is told in code is
    # lost wherever a request has a context of its own.
    os.environ["LANGSMITH_USE_DAEMON"] = "true"
    os.environ.setdefault("LANGSMITH_TRACING_QUEUE_MAX_SIZE", str(_QUEUED_RUNS))
    if settings.langchain_project:
        os.environ["LANGSMITH_PROJECT"] = settings.langchain_project
    try:
        client = langsmith.Client(
            settings.langchain_endpoint or "https://api.smith.langchain.com",
            api_key=settings.langchain_api_key.get_secret_value(),
            # Given, so that it is not asked for. Compressing would be done on the event loop.
            info={"instance_flags": {"zstd_compression_enabled": False}},
            omit_traced_runtime_info=True,  # a list of packages and of environment variables
        )
    except LangSmithUserError as exc:
        raise StartError(f"LangSmith cannot be used as it is configured: {exc}") from exc
    atexit.register(client.close, _FLUSH_S)
    langsmith.configure(client=client, enabled=True)
    logger.warning(
        "Every turn is sent to LangSmith (%s), questions and answers included.", urlsplit(client.api_url).hostname
    )


def _start_sentry(settings: Settings) -> None:
    if settings.sentry_dsn is None:
        return
    try:
        import sentry_sdk
        from sentry_sdk.utils import BadDsn
    except ImportError as exc:
        raise StartError(f"SENTRY_DSN needs a package more: pip install {SENTRY_PACKAGE}") from exc
    try:
        sentry_sdk.init(
            settings.sentry_dsn.get_secret_value(),
            release=f"pustaka@{VERSION}",
            environment=settings.flask_env,
            before_send=_reduce_event,
            # Whatever fails unexpectedly is logged with its exception, once; that is where Sentry hears of it. Its
            # integration for Flask counts on a WSGI server: under ours it would pile up a handler for every request.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=_list_integrations(),
            send_default_pii=False,
            include_local_variables=False,  # they hold questions
            include_source_context=False,  # it is read from files, on the event loop
            max_request_body_size="never",
            max_breadcrumbs=0,
            auto_session_tracking=False,
            send_client_reports=False,
            enable_backpressure_handling=False,
            shutdown_timeout=_FLUSH_S,
        )
    except BadDsn as exc:
        raise StartError("SENTRY_DSN is no DSN: it looks like https://<key>@<host>/<project number>.") from exc
    logger.info("Unexpected errors are reported to Sentry, without their messages and what people wrote.")


def _list_integrations() -> "list[Integration]":
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    return [
        LoggingIntegration(level=None, event_level=logging.ERROR, sentry_logs_level=None),
        ExcepthookIntegration(),
        DedupeIntegration(),
        AtexitIntegration(callback=_ignore_pending),
    ]


def _reduce_event(event: "Event", hint: "Hint") -> "Event | None":
    """The event without anything that may come from a conversation; none for what is expected to happen."""
    error = (hint.get("exc_info") or (None, None, None))[1]
    if error is None or isinstance(error, (ProblemError, StartError)):
        return None
    fields: dict[str, Any] = {**event}
    parts = {name: fields[name] for name in _EVENT_PARTS if name in fields}
    exceptions = [_reduce_exception(value) for value in fields["exception"]["values"]]
    reduced: Event = {**parts, "exception": {"values": exceptions}, "tags": {"request_id": request_id.get() or "none"}}  # type: ignore[typeddict-item] # names as in the event
    return reduced


def _reduce_exception(exception: dict[str, Any]) -> dict[str, Any]:
    """An exception's type and where it was raised, without what it says."""
    frames = (exception.get("stacktrace") or {}).get("frames", [])
    places = [{name: frame[name] for name in _FRAME_PARTS if name in frame} for frame in frames]
    parts = {name: exception[name] for name in _EXCEPTION_PARTS if name in exception}
    return {**parts, "stacktrace": {"frames": places}}


def _ignore_pending(pending: int, timeout_s: float) -> None:
    """Instead of Sentry's own words at the end, which are no JSON."""
