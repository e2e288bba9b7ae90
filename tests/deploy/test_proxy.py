"""The proxy of the stack: `deploy/compose/proxy.sh` with a real Nginx, the real API, and a certificate."""

import os
import pwd
import re
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import trustme

from tests.deploy import compose
from tests.fakes.listener import Listener
from tests.programs import installed
from tests.service import ROOT, Service, ask, free_port

pytestmark = pytest.mark.long

NAME = "chat.test"
SCRIPT = ROOT / "deploy" / "compose" / "proxy.sh"
START_LIMIT_S = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that a user without rights may write; pytest's are root's."""
    made = Path(tempfile.mkdtemp(prefix="pustaka-proxy-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def page() -> Iterator[Listener]:
    """Stands where the chat page is."""
    with Listener(answers=200) as listener:
        yield listener


def unprivileged() -> str | None:
    return pwd.getpwnam("nobody").pw_name if os.geteuid() == 0 else None


def command_of(folder: Path, **variables: str) -> "subprocess.Popen[bytes]":
    """The proxy's command, with the container's folders in *folder*."""
    program = Path(installed("nginx", also_in="/usr/sbin"))
    given = {
        "EXAMPLE": str(ROOT / "deploy" / "nginx" / "pustaka.conf"),
        "FOLDER": str(folder / "made"),
        "CERTIFICATES": str(folder / "certificates"),
        "ACCESS_LOG": str(folder / "access.log"),
        "ERROR_LOG": str(folder / "error.log"),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        **variables,
    }
    if user := unprivileged():
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    # The project may lie where only root can look.
    script = ["sh", "-s"]
    with SCRIPT.open("rb") as text, (folder / "out.log").open("ab") as out:
        shutil.copy(given["EXAMPLE"], folder / "example.conf")
        (folder / "example.conf").chmod(0o644)
        given["EXAMPLE"] = str(folder / "example.conf")
        return subprocess.Popen(script, stdin=text, stdout=out, stderr=out, env=given, user=user, cwd=folder)


@contextmanager
def proxy(folder: Path, port: int, **variables: str) -> Iterator[None]:
    """The proxy, which listens on *port* among others."""
    process = command_of(folder, **variables)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not listens(port):
            assert process.poll() is None, (folder / "out.log").read_text() + (folder / "error.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)  # between two looks
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0


def listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=2)
    except httpx.TransportError as exc:
        return "disconnected" in str(exc)
    return True


def test_without_a_name_it_serves_the_api_and_the_page_on_one_port(
    folder: Path, service: Service, page: Listener
) -> None:
    port = free_port()
    ports = {"API": f"127.0.0.1:{service.port}", "PAGE": page.address, "PLAIN_PORT": str(port)}
    with proxy(folder, port, **ports), httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/health").json()["status"] == "healthy"
        assert client.get("/ready").json() == {"status": "ready"}
        client.headers["X-API-Key"] = service.key
        answer = ask(client, "How much does a dormitory room cost?").json()
        assert answer["citations"][0]["link"].startswith(f"http://127.0.0.1:{port}/v1/documents/")
        assert client.get(answer["citations"][0]["link"]).status_code == 200
        shown = client.get("/")
        assert shown.text == "{}"
        assert page.received[-1].headers["Host"] == f"127.0.0.1:{port}"
        assert page.received[-1].headers["X-Forwarded-For"] == "127.0.0.1"
        assert "frame-ancestors" in shown.headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in shown.headers
        assert client.get("/_stcore/metrics").status_code == 404
    assert '"GET /health HTTP/1.1" 200 ' in (folder / "access.log").read_text()


def test_with_a_name_it_speaks_tls_and_leads_there(folder: Path, service: Service, page: Listener) -> None:
    plain, port = free_port(), free_port()
    authority = trustme.CA()
    certify(folder, authority)
    ports = {"API": f"127.0.0.1:{service.port}", "PAGE": page.address}
    ports |= {"PLAIN_PORT": str(plain), "TLS_PORT": str(port), "SERVER_NAME": NAME}
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with proxy(folder, plain, **ports):
        led = httpx.get(f"http://127.0.0.1:{plain}/v1/chat?a=b", headers={"Host": "evil.example"}, trust_env=False)
        assert (led.status_code, led.headers["Location"]) == (301, f"https://{NAME}/v1/chat?a=b")
        with httpx.Client(verify=trust, headers={"Host": NAME}, trust_env=False) as client:
            asked = client.build_request("GET", f"https://127.0.0.1:{port}/health", extensions={"sni_hostname": NAME})
            healthy = client.send(asked)
            assert healthy.json()["status"] == "healthy"
            assert "max-age" in healthy.headers["Strict-Transport-Security"]


def certify(folder: Path, authority: trustme.CA) -> None:
    """A certificate where the container finds it."""
    made = folder / "certificates" / NAME
    made.mkdir(parents=True)
    issued = authority.issue_cert(NAME)
    issued.private_key_pem.write_to_path(str(made / "privkey.pem"))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(made / "fullchain.pem"), append=True)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (NAME, "fullchain.pem is missing"),
        ("chat.test; include /etc/passwd", "not the name of a host"),
        ("../../etc", "not the name of a host"),
        ("a/b#c", "not the name of a host"),
    ],
)
def test_what_it_cannot_start_with_is_said_in_one_line(folder: Path, name: str, said: str) -> None:
    process = command_of(folder, SERVER_NAME=name)
    assert process.wait(20) == 1
    told = (folder / "out.log").read_text()
    assert said in told
    assert len(told.splitlines()) == 1


def test_what_the_container_is_given_is_what_the_script_takes() -> None:
    files = (compose.BASE, compose.TLS)
    services = compose.load(*files, variables={"SERVER_NAME": NAME})["services"]
    proxied = services["proxy"]
    mounted = dict(mount.split(":")[1::-1] for mount in proxied["volumes"])
    taken = dict(re.findall(r"\b([A-Z_]+):=([^}]+)\}", SCRIPT.read_text()))
    assert ROOT / mounted[proxied["command"][1]] == SCRIPT
    assert (ROOT / mounted[taken["EXAMPLE"]]).is_file()
    assert taken["CERTIFICATES"] in mounted
    assert {taken[name].partition(":")[0] for name in ("API", "PAGE")} <= services.keys()
    assert {port.split(":")[-1] for port in proxied["ports"]} == {taken["PLAIN_PORT"], taken["TLS_PORT"]}
