"""What routes work with, by type instead of by name."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, cast

from flask import Flask, current_app

from bootstrap.services import Services

if TYPE_CHECKING:  # most of these use `services` themselves
    from agents.topics import TopicFinder
    from api.auth import Authenticator
    from api.limits import RateLimits
    from api.link_limits import LinkLimits
    from api.links import CitationLinks
    from api.repeats import Repeats
    from api.visitor_limits import VisitorLimits
    from ingestion.pages.images import PageImages
    from server.admission import Admission
    from utils.concurrency import ConcurrencyLimit

_SERVICES = "services"  # in Flask's `extensions`


@dataclass(frozen=True, slots=True)
class ApiServices(Services):
    """The parts of the running service, and those that the API alone has. Limits are None where they are off."""

    authenticator: "Authenticator"
    admission: "Admission"
    rate_limits: "RateLimits | None"
    visitor_limits: "VisitorLimits | None"
    link_limits: "LinkLimits | None"
    links: "CitationLinks"
    repeats: "Repeats"
    page_images: "PageImages"
    view_texts: "ConcurrencyLimit"
    topics: "TopicFinder"

    @classmethod
    def from_services(cls, services: Services, **own: Any) -> Self:
        """*services* with the API's *own* parts."""
        return cls(**{field.name: getattr(services, field.name) for field in fields(services)}, **own)


def services() -> ApiServices:
    """The parts of the service that the present request is for."""
    return cast(ApiServices, current_app.extensions[_SERVICES])


def find_running_services(app: Flask) -> ApiServices | None:
    """The parts of *app*'s service; None before it has started."""
    return cast("ApiServices | None", app.extensions.get(_SERVICES))


def attach_services(app: Flask, attached: ApiServices) -> None:
    """Let the routes of *app* work with these."""
    app.extensions[_SERVICES] = attached
