"""Nginx of our own: the real program with the example of `deploy/nginx`, on free ports, without any rights."""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
import trustme

from tests.programs import installed
from tests.service import ROOT, free_port

NAME = "chat.test"  # not localhost, which Streamlit trusts anyway
EXAMPLE = ROOT / "deploy" / "nginx" / "pustaka.conf"
START_LIMIT_S = 20.0
_AROUND = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/pustaka.conf;
}}
"""


class NginxServer:
    """The example in front of an API and a chat page on these ports of 127.0.0.1.

    What its head tells operators to change is changed, and the two ports, which only root may open.
    """

    def __init__(self, *, api_port: int, page_port: int) -> None:
        self.port, self.plain_port = free_port(), free_port()
        self._api_port, self._page_port = api_port, page_port
        self._program = installed("nginx", also_in="/usr/sbin")
        # Not in pytest's folder: root's tests run it as another user, who cannot look into theirs.
        self.folder = Path(tempfile.mkdtemp(prefix="pustaka-nginx-"))
        authority = trustme.CA()
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)
        self._write(authority.issue_cert(NAME))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where visitors find it."""
        return f"https://{NAME}:{self.port}"

    def client(self, *, address: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """A visitor who comes from *address*."""
        transport = _Transport(verify=self.trust, local_address=address)
        headers["Host"] = f"{NAME}:{self.port}"
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", transport=transport, headers=headers, timeout=30)

    def checked(self) -> "subprocess.CompletedProcess[str]":
        """What `nginx -t` says of it."""
        return subprocess.run(
            [*self._command(), "-t"], capture_output=True, text=True, timeout=20, check=False, user=_unprivileged()
        )

    def start(self) -> Self:
        """Start it and wait until it listens."""
        with (self.folder / "out.log").open("ab") as out:
            self._process = subprocess.Popen(self._command(), stdout=out, stderr=out, user=_unprivileged())
        self._wait_for(self._listens, "Nginx does not listen")
        return self

    def logged(self) -> str:
        """What it has written of requests."""
        log = self.folder / "pustaka.log"
        return log.read_text() if log.exists() else ""

    def errors(self) -> str:
        """What it has written of errors."""
        return "".join(log.read_text() for log in self.folder.glob("*error.log"))

    def wait_for_log(self, text: str) -> None:
        """Wait until *text* is logged: an answer comes before its line."""
        self._wait_for(lambda: text in self.logged(), f"{text} is not logged")

    def stop(self) -> None:
        """End it, and leave nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *failure: object) -> None:
        self.stop()

    def _wait_for(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while not condition():
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "out.log").read_text()
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.02)  # between two looks

    def _write(self, certificate: trustme.LeafCert) -> None:
        (self.folder / "acme").mkdir()
        (self.folder / "live" / NAME).mkdir(parents=True)
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self.folder / f"live/{NAME}/fullchain.pem"), append=True)
        certificate.private_key_pem.write_to_path(str(self.folder / f"live/{NAME}/privkey.pem"))
        (self.folder / "pustaka.conf").write_text(self._substituted(EXAMPLE.read_text()))
        (self.folder / "nginx.conf").write_text(_AROUND.format(folder=self.folder))
        if _unprivileged():
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, _unprivileged())

    def _substituted(self, text: str) -> str:
        head = text.split("\nlimit_req_zone")[0]
        for old, new in {
            "chat.example.org": NAME,
            "/etc/letsencrypt/live": f"{self.folder}/live",
            "/var/log/nginx": str(self.folder),
            "/var/www/acme": f"{self.folder}/acme",
            "127.0.0.1:8000": f"127.0.0.1:{self._api_port}",
            "127.0.0.1:8501": f"127.0.0.1:{self._page_port}",
        }.items():
            assert f"#   {old} " in head, f"{old} is not among what the head says is to change"
            assert text.count(old) > head.count(old), f"{old} is not in the example"
            text = text.replace(old, new)
        for old, new in {"80;": f"{self.plain_port};", "443 ssl": f"{self.port} ssl"}.items():
            assert f"listen {old}" in text
            text = text.replace(f"listen {old}", f"listen {new}").replace(f"listen [::]:{old}", f"listen [::1]:{new}")
        return text

    def _command(self) -> list[str]:
        return [
            self._program,
            "-p",
            str(self.folder),
            "-e",
            f"{self.folder}/error.log",
            "-c",
            f"{self.folder}/nginx.conf",
        ]

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class _Transport(httpx.HTTPTransport):
    """Asks for the site by its name, which no name server knows."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        request.extensions = {**request.extensions, "sni_hostname": NAME}
        return super().handle_request(request)


def _unprivileged() -> str | None:
    """Who runs it when we are root; None: we are nobody special ourselves."""
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None
