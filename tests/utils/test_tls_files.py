"""The certificate and key to serve HTTPS with: refused where a server could not use them."""

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from utils.processes import StartError
from utils.tls_files import check_tls_files


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two certificates, and what is none."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    for name in ("one", "two"):
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
    key = load_pem_private_key((folder / "one.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    (folder / "locked.key").write_bytes(locked)
    (folder / "text").write_text("no certificate")
    (folder / "large").write_bytes(bytes(1_000_001))
    return folder


def test_what_was_made_together_is_taken(files: Path) -> None:
    check_tls_files(files / "one.crt", files / "one.key")


@pytest.mark.parametrize(
    ("certificate", "key", "told"),
    [
        ("none.crt", "one.key", r"^SSL_CERT_PATH: there is no file .*none\.crt"),
        ("one.crt", "none.key", r"^SSL_KEY_PATH: there is no file .*none\.key"),
        (".", "one.key", "^SSL_CERT_PATH: there is no file"),
        ("large", "one.key", "^SSL_CERT_PATH: .* too large"),
        ("text", "one.key", "^SSL_CERT_PATH: .* holds no certificate in PEM"),
        ("one.key", "one.key", "^SSL_CERT_PATH: .* holds no certificate in PEM"),
        ("one.crt", "text", "^SSL_KEY_PATH: .* holds no private key in PEM"),
        ("one.crt", "locked.key", "^SSL_KEY_PATH: the key has a passphrase"),
        ("one.crt", "two.key", r"^SSL_KEY_PATH: .*two\.key is not the key of the first certificate"),
    ],
)
def test_what_a_server_cannot_use_is_refused_by_name(files: Path, certificate: str, key: str, told: str) -> None:
    with pytest.raises(StartError, match=told):
        check_tls_files(files / certificate, files / key)
