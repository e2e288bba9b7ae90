"""A database of a tenant whose queries are timed, for the metrics."""

import time

from datasources.access import Access, Attributes
from datasources.errors import QueryFailed, SourceUnavailable
from datasources.results import QueryLimits, Result
from datasources.schema import Schema, SchemaLimits
from datasources.source import DataSource
from datasources.stopping import Stop
from utils.ports import StoreObserver


class TimedSource:
    """*source*, of whose queries *stores* hears; of one that is refused before the database sees it, it does not."""

    def __init__(self, source: DataSource, stores: StoreObserver) -> None:
        self._source, self._stores = source, stores
        self.dialect = source.dialect

    def check(self, stop: Stop) -> list[str]:
        """See `DataSource.check`."""
        return self._source.check(stop)

    def read_schema(self, limits: SchemaLimits, stop: Stop) -> Schema:
        """See `DataSource.read_schema`."""
        return self._source.read_schema(limits, stop)

    def run(self, sql: str, access: Access, user: Attributes, limits: QueryLimits, stop: Stop) -> Result:
        """See `DataSource.run`."""
        began_s = time.perf_counter()
        try:
            result = self._source.run(sql, access, user, limits, stop)
        except (QueryFailed, SourceUnavailable):
            self._note(began_s, succeeded=False)
            raise
        self._note(began_s, succeeded=True)
        return result

    def _note(self, began_s: float, *, succeeded: bool) -> None:
        self._stores.note_duration("data_source", "query", time.perf_counter() - began_s, succeeded=succeeded)
