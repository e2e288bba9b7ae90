"""The malware scanner: asked for a sign of life."""

from bootstrap.checks.finding import Finding, Level, ok, skipped
from bootstrap.checks.refusals import told
from bootstrap.checks.running import Check
from bootstrap.checks.settings import Installation
from providers.scanner.clamd import Clamd
from utils.errors import ScannerUnavailable

_SCANNER = "Malware scanner"
_CHECK = "Start clamd, or correct CLAMD_ADDRESS."
_TIMEOUT_S = 8.0


def checks(installation: Installation) -> list[Check]:
    """The check of this group."""
    return [Check(_SCANNER, lambda: _look(installation), limit_s=25)]


def _look(installation: Installation) -> list[Finding]:
    settings = installation.settings
    if settings.clamd_address is None:
        return [skipped(_SCANNER, "off, since CLAMD_ADDRESS is not set: files are not scanned")]
    if why := installation.why_not("clamd_address", "scanner_required") or installation.why_not_ask():
        return [skipped(_SCANNER, why)]
    address = settings.clamd_address
    try:
        Clamd(address, timeout_s=_TIMEOUT_S).ping()
    except ScannerUnavailable as exc:
        level = Level.FAILURE if settings.scanner_required else Level.WARNING
        return [told(_SCANNER, exc.detail, _CHECK, level)]
    return [ok(_SCANNER, f"clamd at {address}")]
