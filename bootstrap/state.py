"""The conversations of an installation for the operator's commands, whether its service runs or not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from agents.runs.deletions import RunDeletions
from bootstrap.data_folder import open_data_folder
from bootstrap.savers import open_saver
from bootstrap.stores import open_deletions
from bootstrap.valkey import ValkeyChild, read_publication
from config import Settings
from utils.checkpointer import Connections
from utils.checkpointer.inspection import Inspector
from utils.errors import NotFound, StoreRefused, StoreUnavailable


@dataclass(frozen=True, slots=True)
class OpenState:
    """A look at the conversations, and what deletes their runs."""

    inspector: Inspector
    deletions: RunDeletions


_TIMEOUT_S = 30.0  # an operator rather waits than is told to try again


@asynccontextmanager
async def open_state(settings: Settings) -> AsyncIterator[OpenState]:
    """The configured Redis, or the embedded Valkey: that of the running service, else one of our own until the end.

    Raises:
        NotFound: nothing has been stored here yet.
        StoreUnavailable: nothing answers there, or not as it must; the message says what to do.
        StartError: the data folder is in use, or the embedded Valkey does not start.
    """
    async with AsyncExitStack() as stack:
        connections = await _find_connections(stack, settings)
        yield OpenState(Inspector(open_saver(settings, connections)), open_deletions(settings, connections))


async def _find_connections(stack: AsyncExitStack, settings: Settings) -> Connections:
    if settings.redis_address is not None:
        return await _open_configured(stack, settings.redis_address)
    published = read_publication(settings.data_dir)
    if published is not None:
        connections = _open_connections(stack, f"unix://{quote(published.socket)}")
        with suppress(StoreUnavailable):  # left behind by a service that was killed
            await connections.check()
            return connections
    return await _open_embedded(stack, settings)


async def _open_configured(stack: AsyncExitStack, address: str) -> Connections:
    try:
        connections = _open_connections(stack, address)
        await connections.check()
    except ValueError as exc:
        raise StoreRefused(f"REDIS_URL: {exc}") from exc
    except StoreRefused:
        raise
    except StoreUnavailable as exc:
        raise StoreUnavailable(f"{exc.detail} Start it, or correct REDIS_URL (or REDIS_HOST and REDIS_PORT).") from exc
    return connections


async def _open_embedded(stack: AsyncExitStack, settings: Settings) -> Connections:
    if not (settings.data_dir / "appendonlydir").is_dir():
        raise NotFound(
            f"Nothing is stored yet in {settings.data_dir}: check DATA_DIR, or REDIS_URL if it should be set."
        )
    stack.enter_context(open_data_folder(settings.data_dir))
    valkey = ValkeyChild(settings.data_dir)
    await asyncio.to_thread(valkey.start)
    stack.push_async_callback(asyncio.to_thread, valkey.stop)
    return _open_connections(stack, valkey.url)


def _open_connections(stack: AsyncExitStack, url: str) -> Connections:
    connections = Connections(url, timeout_s=_TIMEOUT_S)
    stack.push_async_callback(connections.aclose)
    return connections
