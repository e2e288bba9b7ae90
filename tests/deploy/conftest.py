"""Real servers for the health checks."""

from tests.servers.fixtures import postgres

__all__ = ["postgres"]
