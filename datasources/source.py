"""The port of databases that questions are put to."""

from typing import Protocol

from datasources.access import Access, Attributes
from datasources.functions import Dialect
from datasources.results import QueryLimits, Result
from datasources.schema import Schema, SchemaLimits
from datasources.stopping import Stop


class DataSource(Protocol):
    """A database that is only read. Its functions block; each opens a connection of its own, and closes it."""

    dialect: Dialect

    def check(self, stop: Stop) -> list[str]:
        """Connect; what should be better about it, in sentences.

        Raises:
            SourceUnavailable: it cannot be used.
        """
        ...

    def read_schema(self, limits: SchemaLimits, stop: Stop) -> Schema:
        """Its tables with samples of their values, as far as the limits allow.

        Raises:
            SourceUnavailable: it cannot be used.
        """
        ...

    def run(self, sql: str, access: Access, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """What *sql* gives of what the user may read, with both checks.

        Raises:
            QueryRefused: it is not allowed.
            QueryFailed: the database refused it, or it took too long.
            SourceUnavailable: the database cannot be used.
        """
        ...
