"""The compose files, read as Docker Compose reads them: merged, with the variables filled in."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.service import ROOT

BASE = "docker-compose.yml"
POSTGRES = "deploy/compose/postgres.yml"
QDRANT_KEY = "deploy/compose/qdrant-key.yml"
TLS = "deploy/compose/tls.yml"
MONITORING = "deploy/compose/monitoring.yml"
_APPENDED = ("ports", "tmpfs", "volumes")  # others are replaced
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class MissingVariable(Exception):
    """A variable that a file demands is not set."""


def load(*files: str, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The stack of *files*, the first of them docker-compose.yml, with *variables* for what stands in `${}`.

    Raises:
        MissingVariable: one that is demanded is not among them.
    """
    merged: dict[str, Any] = {}
    for file in files or (BASE,):
        merged = _merged(merged, yaml.safe_load((ROOT / file).read_text()))
    return dict(_filled(merged, variables or {}))


def variables_in(file: str) -> set[str]:
    """The names of all variables that *file* refers to."""
    text = yaml.safe_dump(yaml.safe_load((ROOT / file).read_text()))
    return {match[2] for match in _VARIABLE.finditer(text) if match[2]}


def _merged(below: Any, above: Any, name: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {name: _merged(below.get(name), value, name) for name, value in above.items()}
    if name in _APPENDED and isinstance(below, list):
        return [*below, *above]
    return below if above is None else above


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, variables) for part in value]
    return _VARIABLE.sub(lambda match: _value(match, variables), value) if isinstance(value, str) else value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    dollar, name, rule, rest = match.groups()
    if dollar:
        return "$"
    if variables.get(name):
        return variables[name]
    if rule == ":?":
        raise MissingVariable(f"{name}: {rest}")
    return rest or ""
