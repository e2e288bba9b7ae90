"""The application as a whole, which takes nearly every package along when it is imported."""

from importlib import import_module

from bootstrap.checks.finding import Finding, ok
from bootstrap.checks.running import Check
from bootstrap.checks.settings import Installation
from config import Settings


def checks(installation: Installation) -> list[Check]:
    """The check that it can be imported and put together; nothing is started."""
    return [Check("Application", lambda: [_application(installation.settings)], limit_s=60)]


def _application(settings: Settings) -> Finding:
    # By name: the application stands above this package, and only the operator's command looks up at it.
    routes = import_module("app").create_app(settings).url_map.iter_rules()
    return ok("Application", f"it can be imported and has {len(list(routes))} routes")
