"""The work of `python app.py` besides the API: it starts the chat page, and prints where everything is."""

import asyncio
from typing import Any

from bootstrap.banner import describe_loaded, make_welcome
from bootstrap.services import Services
from bootstrap.streamlit import ChatPage, StreamlitChild
from config import SAMPLES, Settings
from utils.processes import StartError
from utils.tls_files import check_tls_files

_NO_PAGE = (
    "SSL_CERT_PATH: the chat page that is started beside the API speaks HTTP to it. Set STREAMLIT_ENABLED=false, or "
    "unset SSL_CERT_PATH and SSL_KEY_PATH and let a proxy in front serve TLS: see docs/deploying.md."
)


def check_tls(settings: Settings) -> None:
    """Return if HTTPS is not asked for, or can be served.

    Raises:
        StartError: its files cannot be used, or the chat page stands in the way.
    """
    if settings.tls_files is None:
        return
    if settings.streamlit_enabled:
        raise StartError(_NO_PAGE)
    check_tls_files(*settings.tls_files)


async def run_with_chat_page(serving: "asyncio.Task[None]", services: Services) -> None:
    """Start the chat page, say where everything is once the documents are loaded, and wait for the end of *serving*.

    Raises:
        StartError: the chat page does not start.
    """
    page = _make_chat_page(services) if services.settings.streamlit_enabled else None
    try:
        if page:
            await asyncio.to_thread(page.start)
        if not services.background.is_shared:
            either: set[asyncio.Future[Any]] = {serving, services.background.loaded}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if page and not serving.done():
            await asyncio.to_thread(page.wait_ready)
        if not serving.done():
            first_key = await asyncio.to_thread(services.make_first_key)
            _greet(services, page.url if page else None, first_key)
        await serving
    finally:
        if page:
            await asyncio.to_thread(page.stop)


def _make_chat_page(services: Services) -> StreamlitChild:
    settings = services.settings
    here = ChatPage(
        host=settings.host,
        port=settings.streamlit_port,
        api_url=_make_api_url(settings),
        api_key=services.page_key,
        title=settings.page_title,
        logo=settings.chat_logo,
        proxies=settings.forwarded_allow_ips,
        options=_make_page_options(settings),
    )
    return StreamlitChild(here, services.data_folder)


def _make_page_options(settings: Settings) -> dict[str, str]:
    """Further variables of the chat page; those that are not set are left out."""
    secret = settings.oidc_client_secret
    options = {
        "LOCAL_HISTORY": settings.local_history,
        "CHAT_LOGIN": settings.chat_login,
        "CHAT_URL": settings.chat_url,
        "OIDC_ISSUER": settings.oidc_issuer,
        "OIDC_CLIENT_ID": settings.oidc_client_id,
        "OIDC_CLIENT_SECRET": secret and secret.get_secret_value(),
    }
    return {name: value for name, value in options.items() if value}


def _greet(services: Services, page_url: str | None, first_key: str | None) -> None:
    settings = services.settings
    endpoint = settings.chat_endpoint
    if services.background.is_shared:
        folder = settings.documents_folder or "no folder (KNOWLEDGE_DIR)"
        print(f"Documents  {folder}, loaded by one of the processes on these stores")
    else:
        print(describe_loaded(services.background.loaded.result(), settings.documents_folder))
    print(
        make_welcome(
            api_url=_make_api_url(settings),
            page_url=page_url,
            key=first_key,
            answers_by=endpoint.model if endpoint else "quotes from the documents (no language model is configured)",
            data_folder=str(services.data_folder),
            # About the samples one that is answered well by words alone: their vectors take half a minute.
            question="How much does a dormitory room cost?"
            if settings.documents_folder == SAMPLES and services.background.has_loaded
            else "What is it about?",
        ),
        flush=True,
    )


def _make_api_url(settings: Settings) -> str:
    """Where a program on this machine reaches the API."""
    host, scheme = settings.host, "https" if settings.tls_files else "http"
    if host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104 - compared, not bound
        return f"{scheme}://localhost:{settings.port}"
    name = "[::1]" if host == "::" else f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{settings.port}"
