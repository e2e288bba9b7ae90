"""The certificate and the key by which the service itself serves HTTPS: whether they can be used."""

import ssl
from pathlib import Path

from utils.processes import StartError

_LARGEST_BYTES = 1_000_000  # of a file: a chain has some kilobytes


def check_tls_files(certificate: Path, key: Path) -> None:
    """Return if a server can use them.

    Raises:
        StartError: one cannot be read or is none, or they do not belong together; it says what to do.
    """
    for name, path in (("SSL_CERT_PATH", certificate), ("SSL_KEY_PATH", key)):
        _read(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(certificate)
    except ssl.SSLError as exc:
        raise StartError(f"SSL_CERT_PATH: {certificate} holds no certificate in PEM.") from exc
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError as exc:
        if exc.reason != "KEY_VALUES_MISMATCH":
            raise StartError(f"SSL_KEY_PATH: {key} holds no private key in PEM.") from exc
        text = f"{key} is not the key of the first certificate in SSL_CERT_PATH, {certificate}."
        raise StartError(f"SSL_KEY_PATH: {text} Name the two that were made together.") from exc


def _read(name: str, path: Path) -> None:
    try:
        if not path.is_file():
            raise StartError(f"{name}: there is no file {path}.")
        if path.stat().st_size > _LARGEST_BYTES:
            raise StartError(f"{name}: {path} is too large to be one.")
        path.read_bytes()
    except OSError as exc:
        raise StartError(f"{name}: {path} cannot be read by this user: {exc.strerror}.") from exc


def _refuse_password() -> str:
    """OpenSSL would ask the terminal, for which a service cannot wait.

    Raises:
        StartError: always.
    """
    raise StartError("SSL_KEY_PATH: the key has a passphrase. Store it without one: openssl pkey -in KEY -out NEW.")
