"""The chat page: Streamlit as a child of the service."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from utils.processes import Child, Command, StartError, reserve_port

_ROOT = Path(__file__).resolve().parent.parent
_LOG = "streamlit.log"
_START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPage:
    """What the page is started with: where it listens, the API it speaks to, how it is called, and its logo.

    `logo` is a file's path or an https address. `proxies` are believed about where visitors come from.
    `options` are more of its variables, such as LOCAL_HISTORY, some of them secret.
    """

    host: str
    port: int
    api_url: str
    api_key: str = field(repr=False)
    title: str = "Pustaka"
    logo: str | None = None
    proxies: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


class StreamlitChild:
    """`streamlit run streamlit_app.py`, its output in `streamlit.log` of the data folder."""

    def __init__(self, page: ChatPage, folder: Path) -> None:
        self._page, self._folder = page, folder.absolute()
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = self._page.host
        return f"http://{'localhost' if host in _EVERYWHERE else _add_brackets(host)}:{self._page.port}"

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.is_alive()

    def start(self) -> None:
        """Start it and return at once; `wait_ready` waits for it, so that both servers can start together.

        Raises:
            StartError: the port is taken or not allowed.
        """
        # Streamlit makes its own socket: ours only finds out whether it can.
        reserve_port(self._page.host, self._page.port, variable="STREAMLIT_PORT").close()
        self._child = Child(_make_command(self._page, self._folder))

    def wait_ready(self) -> None:
        """Wait until the page answers.

        Raises:
            StartError: it ended instead, or does not answer in time.
        """
        if self._child is None:
            raise RuntimeError("Streamlit has not been started.")
        with httpx.Client(base_url=self._make_local_url(), timeout=2.0, trust_env=False) as http:
            if self._child.wait_until(lambda: _is_healthy(http), _START_LIMIT_S):
                return
        last = (self._child.log().strip().splitlines() or ["it printed nothing"])[-1]
        self.stop()
        raise StartError(f"The chat page does not start: {last.strip()} (log: {self._folder / _LOG})")

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End it and all it has started; False when it had to be killed. Stopping it twice is no error."""
        return self._child is None or self._child.stop(timeout_s)

    def _make_local_url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._page.host)  # noqa: S104 - compared, not bound
        return f"http://{host or _add_brackets(self._page.host)}:{self._page.port}"


_EVERYWHERE = frozenset({"0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104 - compared, not bound


def _add_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/_stcore/health").is_success
    except httpx.TransportError:
        return False


def _make_command(page: ChatPage, folder: Path) -> Command:
    script = str(_ROOT / "streamlit_app.py")
    options = [f"--server.address={page.host}", f"--server.port={page.port}"]
    return Command(
        name="Streamlit",
        argv=[sys.executable, "-m", "streamlit", "run", script, *options],
        cwd=_ROOT,  # where .streamlit/config.toml is
        log_path=folder / _LOG,
        variables=_make_variables(page),
    )


def _make_variables(page: ChatPage) -> dict[str, str]:
    variables = {
        "API_URL": page.api_url,
        "CHAT_PAGE_KEY": page.api_key,
        "CHAT_TITLE": page.title,
        **page.options,
        "FORWARDED_ALLOW_IPS": ",".join(page.proxies),  # without it, uvicorn believes everybody on this machine
    }
    if page.logo is None:
        return variables
    # The page runs in another folder.
    logo = page.logo if page.logo.startswith("https://") else str(Path(page.logo).absolute())
    return {**variables, "CHAT_LOGO": logo}
