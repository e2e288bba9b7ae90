"""The service on the stores that come with it, and on those of a production site: the same tests pass on both."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.fakes.qdrant_server import FakeQdrantServer
from tests.gunicorn_service import KEY, GunicornService
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.service import Library, Service

WORKERS = 2


@dataclass(frozen=True)
class Stack:
    """A running service, and a look behind its back at the Redis it uses."""

    service: Service
    redis: redis.Redis


@contextmanager
def embedded(library: Library, folder: Path) -> Iterator[Stack]:
    """Everything in one process and one folder."""
    with library.service(folder, API_KEY=KEY, RATE_LIMIT_ENABLED="false") as service:
        published = json.loads((service.data_dir / "valkey.json").read_text())
        with redis.Redis(unix_socket_path=published["socket"], decode_responses=True) as store:
            yield Stack(service, store)


@dataclass(frozen=True)
class Servers:
    """The stores of a production site; each can be taken away."""

    redis: RedisServer
    postgres: PostgresServer
    qdrant: FakeQdrantServer

    def variables(self) -> dict[str, str]:
        """What points the service at them."""
        return {
            "REDIS_URL": self.redis.url,
            "DATABASE_URI": self.postgres.new_database(),
            "QDRANT_URL": self.qdrant.url,
            "QDRANT_API_KEY": "qdrant-key",
        }


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Debian's Redis and PostgreSQL, and Qdrant's wire format over the Qdrant client's own engine."""
    with ExitStack() as stack:
        (folder / "redis").mkdir()
        yield Servers(
            stack.enter_context(RedisServer(folder / "redis")),
            stack.enter_context(PostgresServer(folder / "postgres")),
            stack.enter_context(FakeQdrantServer(api_key="qdrant-key")),
        )


@contextmanager
def production(library: Library, folder: Path) -> Iterator[Stack]:
    """Two workers on shared stores, to which an embedded installation was moved."""
    with servers(folder) as stores:
        settings = {**stores.variables(), "WORKERS": str(WORKERS), "API_KEY": KEY, "RATE_LIMIT_ENABLED": "false"}
        service = GunicornService(library.copy(folder), **settings)  # type: ignore[arg-type] # none is named like an argument
        moved = service.flask("migrate-data", "--to", "production")
        assert moved.returncode == 0, moved.stdout + moved.stderr
        with service.keeping_vectors(), redis.Redis.from_url(stores.redis.url, decode_responses=True) as store:
            yield Stack(service, store)
