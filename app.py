"""The Flask app, and `python app.py`: the API and the chat page, with all they need, started by one command."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Any

import uvicorn
from flask_openapi3 import Info, OpenAPI
from flask_openapi3.models import License, SecurityScheme, Server

from api.answer_speech import answer_speech_blueprint
from api.bots import bots_blueprint
from api.chat import chat_blueprint
from api.conflicts import conflicts_blueprint
from api.conversation_files import conversation_files_blueprint
from api.conversation_shares import conversation_shares_blueprint
from api.conversations import conversations_blueprint
from api.data_source_uploads import data_source_uploads_blueprint
from api.data_sources import data_sources_blueprint
from api.datasets import datasets_blueprint
from api.deprecations import register_deprecations
from api.description import DescribedApi
from api.docs import register_docs
from api.document_links import document_links_blueprint
from api.documents import documents_blueprint
from api.glossary_proposals import glossary_proposals_blueprint
from api.health import health_blueprint
from api.json_provider import OrjsonProvider
from api.mcp.route import mcp_blueprint
from api.metering import register_metering
from api.middleware import register_middleware
from api.models import models_blueprint
from api.openai.routes import openai_blueprint
from api.opening import open_api
from api.past_answers import past_answers_blueprint
from api.problem_schemas import Problem
from api.problems import register_problems
from api.ratings import ratings_blueprint
from api.runs import runs_blueprint
from api.search import search_blueprint
from api.services import find_running_services
from api.sessions import sessions_blueprint
from api.tasks import tasks_blueprint
from api.terms import terms_blueprint
from api.tools import tools_blueprint
from api.topics import topics_blueprint
from api.usage import usage_blueprint
from api.view import view_blueprint
from api.voice import voice_blueprint
from api.web_sources import web_sources_blueprint
from api.webhooks import webhooks_blueprint
from api.websites import websites_blueprint
from api.widget import register_widget
from bootstrap.banner import show_loading_bar
from bootstrap.chat_page_process import check_tls, run_with_chat_page
from bootstrap.observability import start_observability
from bootstrap.services import open_services, wait_until_it_may_start
from cli.commands import register_commands
from cli.operator import configure, make_command_app
from config import VERSION, Settings, SettingsError, load_settings
from domain.db import Database
from domain.db_opening import open_database
from server.admission import Admission, AdmissionLimits
from server.asgi import FlaskAsgi, Lifespan, make_uvicorn_options
from server.body_limits import BodyLimits
from server.graceful import GracefulServer
from utils.logging_config import configure_logging
from utils.private_files import ensure_private_folder, keep_files_private
from utils.processes import (
    StartError,
    hide_from_others,
    reserve_port,
)

_SECURITY_SCHEMES: dict[str, SecurityScheme | dict[str, Any]] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "link": {"type": "apiKey", "in": "query", "name": "token"},
}
_INFO = Info(
    title="Pustaka",
    version=VERSION,
    summary="Answers from your documents, with their sources.",
    description="Send the key in `X-API-Key`. Errors are problem documents (RFC 9457): decide by `type`; `detail` says "
    "what to do. Lists come in parts: `limit` is their size, `next` the address of the next part, null at the end. "
    "Every POST but searches and speech takes an `Idempotency-Key`, with which it can be sent again safely. Names that "
    "are marked as deprecated stay for one version. The file `docs/api-conventions.md` of the sources says all this at "
    "length.\n\n"
    "Assistants that speak MCP connect to `/v1/mcp`, which describes itself in that protocol (`docs/mcp.md`).",
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
)
_TAKE_OVER_S = 45.0


def create_app(settings: Settings | None = None) -> OpenAPI:
    """The app with its routes and commands; it serves nothing until `open_api` gives it its services.

    Without *settings*, as `flask` calls it, it is of the installation that a command is typed in.
    """
    keep_files_private()  # here, because `flask` commands begin with it as well
    if settings is None:
        return make_command_app(create_app)
    app = DescribedApi(
        "pustaka",
        info=_INFO,
        servers=[Server(url=settings.public_url or "/")],
        security_schemes=_SECURITY_SCHEMES,
        validation_error_status=400,
        validation_error_model=Problem,
        doc_ui=False,
        static_folder=None,
    )
    # Each address answers with a slash at its end and without: preflights cannot follow a redirect.
    app.url_map.strict_slashes = app.url_map.merge_slashes = app.url_map.redirect_defaults = False
    app.json = OrjsonProvider(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_content_length
    configure(app, settings, lambda: _database_for_commands(settings))
    register_problems(app)
    register_middleware(app, cors_origins=settings.cors_origins, trusted_hosts=settings.trusted_hosts)
    if settings.prometheus_enabled:
        register_metering(app)
    blueprints = (
        chat_blueprint, search_blueprint, runs_blueprint, conversations_blueprint, datasets_blueprint,
        bots_blueprint, tools_blueprint, models_blueprint, documents_blueprint, document_links_blueprint,
        usage_blueprint, view_blueprint, web_sources_blueprint, tasks_blueprint, ratings_blueprint, conflicts_blueprint,
        data_sources_blueprint, data_source_uploads_blueprint, sessions_blueprint, openai_blueprint, mcp_blueprint,
        topics_blueprint, websites_blueprint, health_blueprint, glossary_proposals_blueprint, webhooks_blueprint,
        conversation_shares_blueprint, conversation_files_blueprint, past_answers_blueprint, terms_blueprint,
        voice_blueprint, answer_speech_blueprint,
    )  # fmt: skip
    for blueprint in blueprints:
        app.register_api(blueprint)
    register_docs(app)
    register_widget(app)
    register_deprecations(app, app.list_deprecating())
    register_commands(app)
    return app


def asgi_application(settings: Settings) -> FlaskAsgi:
    """The whole service for an ASGI server, which starts and stops it by the lifespan protocol."""
    app, admission = create_app(settings), make_admission(settings)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        start_observability(settings)
        # Under a process manager the worker before this one may still be finishing its requests.
        async with (
            open_services(settings, patience_s=_TAKE_OVER_S) as services,
            open_api(app, services, admission),
        ):
            yield

    return make_bridge(app, settings, admission, lifespan)


async def serve(settings: Settings, listener: socket.socket) -> None:
    """Run the API on *listener* and the chat page beside it until a signal to stop.

    Raises:
        StartError: something is missing or in the way.
    """
    start_observability(settings)
    app, admission = create_app(settings), make_admission(settings)
    with show_loading_bar() as progress:
        async with open_services(settings, progress=progress) as services, open_api(app, services, admission):
            options = make_uvicorn_options(
                graceful_timeout_s=settings.graceful_timeout, forwarded_allow_ips=settings.forwarded_allow_ips
            )
            if settings.tls_files:
                options["ssl_certfile"], options["ssl_keyfile"] = settings.tls_files
            config = uvicorn.Config(
                make_bridge(app, settings, admission), **{**options, "lifespan": "off", "log_config": None}
            )
            server = _Server(config, services.runs.drain)
            with _stopping_on_signals(server):
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                try:
                    await run_with_chat_page(serving, services)
                finally:
                    server.should_exit = True
                    await serving


def make_admission(settings: Settings) -> Admission:
    """What says which requests there is room for."""
    limits = AdmissionLimits(
        requests=settings.max_concurrent_requests,
        turns=settings.max_concurrent_turns,
        waiting_turns=settings.max_waiting_turns,
        turns_per_key=settings.max_turns_per_key,
        requests_per_key=settings.max_requests_per_key,
    )
    return Admission(limits)


def make_bridge(app: OpenAPI, settings: Settings, admission: Admission, lifespan: Lifespan | None = None) -> FlaskAsgi:
    """*app* as an ASGI application."""
    bodies = BodyLimits(settings.max_content_length, total_bytes=settings.max_body_memory)
    drain = partial(_drain, app)
    return FlaskAsgi(
        app,
        lifespan=lifespan,
        drain=drain,
        body_limits=bodies,
        admission=admission,
        spool_folder=settings.data_dir,
    )


async def _drain(app: OpenAPI, within_s: float) -> None:
    services = find_running_services(app)
    if services is not None:
        await services.runs.drain(within_s)


class _Server(GracefulServer):
    """A server without signal handlers of its own: `serve` has more to stop than the server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with nullcontext():
            yield


@contextmanager
def _stopping_on_signals(server: uvicorn.Server) -> Iterator[None]:
    """SIGINT and SIGTERM let requests end; a second one does not wait for them."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _database_for_commands(settings: Settings) -> Database:
    if settings.database_uri is None:
        ensure_private_folder(settings.data_dir, variable="DATA_DIR")
    return open_database(settings.database_address)


def main() -> int:
    """Start everything; 0 after a stop that was asked for, 1 with a line about what is in the way."""
    hide_from_others()
    try:
        settings = load_settings()
        configure_logging(settings.log_level)
        check_tls(settings)
        fast_loop = uvicorn.Config(app="", log_config=None).get_loop_factory()  # uvloop where it is installed
        with asyncio.Runner(loop_factory=fast_loop) as runner:
            runner.run(
                wait_until_it_may_start(settings)
            )  # before the port is taken: a probe is refused, and does not hang
            with reserve_port(settings.host, settings.port, variable="PORT") as listener:
                runner.run(serve(settings, listener))
    except (SettingsError, StartError) as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before the handlers were in place
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
