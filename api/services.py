"""What routes and commands work with, by type instead of by name."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, cast

from flask import Flask, current_app

from bootstrap.services import Services
from config import Settings
from domain.db import Database

if TYPE_CHECKING:  # most of these use `services` themselves
    from api.admission import Admission
    from api.auth import Authenticator
    from api.limits import RateLimits
    from api.link_limits import LinkLimits
    from api.links import CitationLinks
    from api.repeats import Repeats
    from api.visitor_limits import VisitorLimits
    from ingestion.pages.images import PageImages
    from utils.concurrency import ConcurrencyLimit

_SERVICES, _SETTINGS, _OPEN_DATABASE = "services", "settings", "open_database"  # in Flask's `extensions`


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

    @classmethod
    def around(cls, services: Services, **own: Any) -> Self:
        """*services* with the API's *own* parts."""
        return cls(**{field.name: getattr(services, field.name) for field in fields(services)}, **own)


def services() -> ApiServices:
    """The parts of the service that the present request is for."""
    return cast(ApiServices, current_app.extensions[_SERVICES])


def running_services(app: Flask) -> ApiServices | None:
    """The parts of *app*'s service; None before it has started."""
    return cast("ApiServices | None", app.extensions.get(_SERVICES))


def attach_services(app: Flask, attached: ApiServices) -> None:
    """Let the routes of *app* work with these."""
    app.extensions[_SERVICES] = attached


def settings() -> Settings:
    """The settings of the present app; for commands, which run without a service."""
    return cast(Settings, current_app.extensions[_SETTINGS])


def open_database() -> Database:
    """The database that the settings name; the caller closes it."""
    return cast("Callable[[], Database]", current_app.extensions[_OPEN_DATABASE])()


def configure(app: Flask, settings: Settings, open_database: Callable[[], Database]) -> None:
    """Give *app* what its commands work with."""
    app.extensions |= {_SETTINGS: settings, _OPEN_DATABASE: open_database}
