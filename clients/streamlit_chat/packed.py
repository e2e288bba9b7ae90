"""Streamlit's scripts and styles, packed: it sends them as they are, which at a first visit is 2.7 MB."""

import asyncio
from pathlib import Path

import streamlit
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from clients.streamlit_chat.fetching import CONDITIONS, Fetched, fetch, pack, takes_gzip

_STATIC = Path(streamlit.__file__).parent / "static"
# For any other name Streamlit sends its page: whoever made names up would fill the memory.
_PACKABLE = frozenset(
    f"/{path.relative_to(_STATIC).as_posix()}" for kind in ("js", "css") for path in _STATIC.rglob(f"*.{kind}")
)


class PackedFiles:
    """Sends each of these files packed to who takes it so; packed once, since its name changes with what is in it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._packed: dict[str, Fetched] = {}  # no more than Streamlit has: 24 MB before they are packed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Streamlit does, in fewer bytes."""
        if not _may_be_packed(scope):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        file = self._packed.get(path)
        if file is None:
            file = await fetch(self._app, scope)
            if file.start["status"] == 200:
                file = self._packed[path] = await asyncio.to_thread(pack, file)
        await file.send(send)


def _may_be_packed(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] not in _PACKABLE:
        return False
    headers = Headers(scope=scope)
    return takes_gzip(scope) and not any(name in headers for name in CONDITIONS)  # those are Streamlit's to answer
