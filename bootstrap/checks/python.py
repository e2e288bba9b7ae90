"""The interpreter and its packages: standard library alone, since what is missing may be any package."""

import importlib.metadata
import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from bootstrap.checks.running import RunnableCheck
from utils.findings import Finding, failure, ok, warning

OLDEST = (3, 11)
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)\s*(?:;\s*(?P<marker>[^\\]+?))?\s*\\?$")
_NAMED = 6


def list_checks(root: Path) -> list[RunnableCheck]:
    """The checks of this group; *root* is the service's folder."""
    return [
        RunnableCheck("Python", lambda: [_check_interpreter()]),
        RunnableCheck("Packages", lambda: [_check_packages(root / "requirements.txt")]),
    ]


def _check_interpreter() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < OLDEST:
        return failure("Python", text, f"Install Python {'.'.join(map(str, OLDEST))} or newer.")
    return ok("Python", text)


def _check_packages(requirements: Path) -> Finding:
    try:
        pins = list(_read_pins(requirements.read_text()))
    except OSError as exc:
        remedy = "Take the whole of the service's sources again; it is part of them."
        return failure("Packages", f"{requirements} cannot be read: {exc.strerror}.", remedy)
    installed = _list_installed()
    wrong = [_compare(name, version, installed.get(name)) for name, version in pins]
    differing = [text for text in wrong if text]
    if differing:
        more = f" and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        remedy = (
            f"`make install` installs all into .venv; elsewhere `{sys.executable} -m pip install -r {requirements}`."
        )
        return failure("Packages", f"{'; '.join(differing[:_NAMED])}{more}.", remedy)
    if not pins:
        return warning("Packages", f"{requirements} names none.", "Take it from the service's sources again.")
    return ok("Packages", f"all {len(pins)} of {requirements.name} are installed in their versions")


def _compare(name: str, version: str, installed: str | None) -> str:
    if installed is None:
        return f"{name} is missing"
    return "" if installed == version else f"{name} is {installed} instead of {version}"


def _read_pins(text: str) -> Iterator[tuple[str, str]]:
    """Name, as `_normalize` makes it, and version of every package that this system needs."""
    for line in text.splitlines():
        if (pin := _PIN.match(line)) and _applies(pin["marker"]):
            yield _normalize(pin["name"]), pin["version"]


def _applies(marker: str | None) -> bool:
    if marker is None:
        return True
    try:
        markers = import_module("packaging.markers")
    except ImportError:
        return False  # then it is among the missing itself
    return bool(markers.Marker(marker.strip()).evaluate())


def _list_installed() -> dict[str, str]:
    # In one sweep; the first on the path wins, as it does for imports.
    installed: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        if name := distribution.metadata["Name"]:
            installed.setdefault(_normalize(name), distribution.version)
    return installed


def _normalize(name: str) -> str:
    """The form of a name in which packages are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
