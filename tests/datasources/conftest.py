"""The servers of these tests."""

from tests.servers.fixtures import postgres

__all__ = ["postgres"]
