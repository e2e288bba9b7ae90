"""Whether the service can serve HTTPS by itself, where it is to."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography.x509 import load_pem_x509_certificate

from bootstrap.checks.settings import Installation
from utils.findings import Finding, failure, ok, split_message, warning
from utils.processes import StartError
from utils.tls_files import check_tls_files

_SOON = timedelta(days=14)
_REMEDY = "Name the files in PEM, which the user of the service may read."
_RENEW = "Renew it, then `pustaka reload`."


def check_tls(installation: Installation) -> Iterator[Finding]:
    """Whether the certificate and the key can be used, and until when."""
    if installation.settings.tls_files is None:
        yield ok("HTTPS", "not served here: for others than this machine, a proxy in front has to")
        return
    certificate, key = installation.settings.tls_files
    try:
        check_tls_files(certificate, key)
        until = load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except StartError as exc:
        name, _, message = str(exc).partition(": ")
        yield split_message(name, message, _REMEDY)
        return
    remaining = until - datetime.now(UTC)
    if remaining < timedelta(0):
        yield failure("SSL_CERT_PATH", f"The certificate ended on {until:%Y-%m-%d}: no client accepts it.", _RENEW)
    elif remaining < _SOON:
        yield warning("SSL_CERT_PATH", f"The certificate ends on {until:%Y-%m-%d}.", _RENEW)
    else:
        yield ok("HTTPS", f"{certificate}, until {until:%Y-%m-%d}")
