"""What may be read of data sources, kept from turn to turn by the version of what says so."""

from collections.abc import Callable, Hashable
from threading import Lock

from datasources.access import Access
from datasources.catalog import OpenTable
from utils.expiring import Expiring

OpenTables = tuple[Access, list[OpenTable]]
"""What queries are held to, and the tables of it with what is known of them."""
_MOST_KEPT, _KEPT_S = 32, 600.0


class LoadedSchemas:
    """At most 32, each for ten minutes. For all threads."""

    def __init__(self) -> None:
        self._kept: Expiring[Hashable, OpenTables] = Expiring(_MOST_KEPT, _KEPT_S)
        self._lock = Lock()

    def load(self, key: Hashable, read: Callable[[], OpenTables]) -> OpenTables:
        """What is kept under *key*, which is another one after every change; else what *read* gives, from now on."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            kept = read()
            with self._lock:
                self._kept.put(key, kept)
        return kept
