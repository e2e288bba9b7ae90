"""What routes work with beside the services: opened with them, and closed before."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from flask_openapi3 import OpenAPI

from agents.topics import TopicFinder
from api.auth import Authenticator
from api.limits import RateLimits
from api.link_limits import LinkLimits
from api.links import CitationLinks, LinkSigner
from api.metering import sample_requests
from api.repeats import Repeats
from api.services import ApiServices, attach_services
from api.visitor_limits import QuestionLimits, VisitorLimits
from api.visitor_tokens import VisitorSigner
from auth.credentials import make_configured_key_principal, make_page_principal
from bootstrap.services import Services
from config import Settings
from domain.document_links import LinkMode
from ingestion.pages.images import PageImages
from server.admission import Admission
from server.http_protocol import ConnectionLimits
from utils.concurrency import ConcurrencyLimit
from utils.processes import allow_open_files, switch_threads_often, tune_collector

_TEXTS_AT_ONCE, _TEXTS_WAITING = 2, 200  # whole texts of documents in memory, each of a few MB, for their readers


@asynccontextmanager
async def open_api(app: OpenAPI, services: Services, admission: Admission) -> AsyncIterator[None]:
    """Let the app work with these services for the length of the block."""
    async with AsyncExitStack() as stack:
        attach_services(app, _open_api_services(stack, services, admission))
        if services.telemetry.sampler:
            services.telemetry.sampler.looks.append(sample_requests(app, admission))
        tune_collector()
        switch_threads_often()
        allow_open_files(ConnectionLimits().open_files)
        yield


def _open_api_services(stack: AsyncExitStack, services: Services, admission: Admission) -> ApiServices:
    """What routes work with, closed with *stack*."""
    settings = services.settings
    limits, visitor_limits, link_limits = _open_limits(stack, services) if settings.rate_limit_enabled else (None,) * 3
    repeats = Repeats(services.redis_url, services.state_keys)
    stack.push_async_callback(repeats.aclose)
    fixed = {services.page_key: make_page_principal()}
    if settings.api_key:
        fixed[settings.api_key.get_secret_value()] = make_configured_key_principal()
    authenticator = Authenticator(fixed, services.database, VisitorSigner(services.link_key), services.bots)
    stack.callback(authenticator.close)
    signer, mode = LinkSigner(services.link_key, settings.link_ttl), LinkMode(settings.document_links)
    return ApiServices.from_services(
        services,
        authenticator=authenticator,
        admission=admission,
        rate_limits=limits,
        visitor_limits=visitor_limits,
        link_limits=link_limits,
        links=CitationLinks(services.database, signer, public_url=settings.public_url, mode=mode),
        repeats=repeats,
        page_images=PageImages(services.sandbox),
        view_texts=ConcurrencyLimit(
            _TEXTS_AT_ONCE, may_wait=_TEXTS_WAITING, refusal="Too many documents are being opened. Try again soon."
        ),
        topics=TopicFinder(),
    )


def _open_limits(stack: AsyncExitStack, services: Services) -> tuple[RateLimits, VisitorLimits, LinkLimits]:
    settings, stores = services.settings, services.telemetry.stores
    limits = RateLimits(
        services.redis_url,
        limit=settings.rate_limit_per_hour,
        reason=f"This key may make {settings.rate_limit_per_hour} requests an hour.",
        stores=stores,
    )
    link_limits = LinkLimits(
        services.redis_url,
        per_address=settings.link_requests_per_hour,
        per_tenant=settings.tenant_link_requests_per_hour,
        stores=stores,
    )
    opened = limits, _make_visitor_limits(settings, services), link_limits
    for each in opened:
        stack.push_async_callback(each.aclose)
    return opened


def _make_visitor_limits(settings: Settings, services: Services) -> VisitorLimits:
    return VisitorLimits(
        services.redis_url,
        secret=services.page_key,
        visitor=QuestionLimits(
            settings.visitor_questions_per_minute,
            settings.visitor_questions_per_day,
            settings.visitor_tokens_per_day,
        ),
        address=QuestionLimits(
            settings.address_questions_per_minute,
            settings.address_questions_per_day,
            settings.address_tokens_per_day,
        ),
        requests_per_minute=settings.address_requests_per_minute,
        visitor_files=settings.visitor_files_per_day,
        address_files=settings.address_files_per_day,
        stores=services.telemetry.stores,
    )
