"""HTTPS by the service itself: real connections to gunicorn and to `python app.py`, and a renewed certificate."""

import signal
import ssl
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import trustme
from cryptography.x509 import load_pem_x509_certificate

from tests.gunicorn_service import GunicornService
from tests.service import Service, ask, await_knowledge, one_document

pytestmark = pytest.mark.long

QUESTION = "How much does a dormitory room cost?"


class HttpsService(GunicornService):
    """Under gunicorn, with a certificate of *authority* for this machine."""

    def __init__(self, folder: Path, authority: trustme.CA, **variables: str) -> None:
        self.certificate, self.key_file, self._authority = folder / "server.crt", folder / "server.key", authority
        self.certify()
        self.files = {"SSL_CERT_PATH": str(self.certificate), "SSL_KEY_PATH": str(self.key_file)}
        super().__init__(folder / "data", **self.files, **variables)
        self.trust = ssl.create_default_context()
        authority.configure_trust(self.trust)

    def certify(self) -> int:
        """Put a new certificate into its place; its number."""
        made = self._authority.issue_cert("127.0.0.1", "localhost")
        made.cert_chain_pems[0].write_to_path(self.certificate)
        made.private_key_pem.write_to_path(self.key_file)
        return self.read_number(self.certificate.read_text())

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", verify=self.trust, trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        chosen = {"X-API-Key": self.key, **headers}
        return httpx.Client(base_url=self.url, headers=chosen, verify=self.trust, timeout=30, trust_env=False)

    def shows(self, number: int) -> bool:
        """Whether new connections are shown the certificate of this number."""
        return self.read_number(ssl.get_server_certificate(("127.0.0.1", self.port))) == number

    @staticmethod
    def read_number(pem: str) -> int:
        """Of a certificate."""
        return load_pem_x509_certificate(pem.encode()).serial_number


@pytest.mark.first
def test_gunicorn_serves_https_and_takes_up_a_renewed_certificate(tmp_path: Path) -> None:
    with HttpsService(tmp_path, trustme.CA(), **one_document(tmp_path)) as service, service.client() as client:
        await_knowledge(service, QUESTION)
        assert "850,000" in ask(client, QUESTION, uuid4().hex).json()["answer"]
        events = client.post("/v1/chat/stream", json={"message": QUESTION, "session_id": None}).text
        assert '"type": "done"' in events or "event: done" in events
        plain = f"http://127.0.0.1:{service.port}/health"
        with pytest.raises(httpx.TransportError):
            httpx.get(plain, trust_env=False, timeout=5)
        (worker,) = service.workers()
        service.key_file.write_text("no key")
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: service.says("holds no private key in PEM"))
        assert (service.workers(), service.is_ready()) == ([worker], True)
        number = service.certify()
        assert not service.shows(number)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for(lambda: worker not in service.workers() and service.is_ready())
        assert service.shows(number)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"SSL_KEY_PATH": ""}, "SSL_CERT_PATH and SSL_KEY_PATH go together"),
        ({"SSL_KEY_PATH": "nowhere.key"}, "SSL_KEY_PATH: there is no file"),
        ({"STREAMLIT_ENABLED": "true"}, "STREAMLIT_ENABLED=false"),
    ],
)
def test_what_cannot_be_served_ends_the_start_with_a_reason(tmp_path: Path, changed: dict[str, str], told: str) -> None:
    service = Service(tmp_path / "data", **{**HttpsService(tmp_path, trustme.CA()).files, **changed})
    service.launch()
    assert service.process.wait(60) == 1
    assert told in service.logged()
    assert service.printed() == ""


def test_app_py_serves_https_and_says_so(tmp_path: Path) -> None:
    https = HttpsService(tmp_path, trustme.CA())
    with Service(tmp_path / "data", **https.files) as service:
        assert f"API        https://localhost:{service.port}" in service.printed()
        assert httpx.get(f"https://localhost:{service.port}/health", verify=https.trust, trust_env=False).is_success
