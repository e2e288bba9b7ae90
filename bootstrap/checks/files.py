"""The files by which the service is deployed."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from gunicorn.config import Config  # type: ignore[import-untyped] # it ships no types

from bootstrap.checks.finding import Finding, failure, ok, skipped
from bootstrap.checks.running import Check
from bootstrap.checks.settings import Installation

_GUNICORN = "gunicorn.conf.py"
_DOCKER = ("Dockerfile", "docker-compose.yml", ".dockerignore")
_SOURCES = "Makefile"  # what a source tree has and an image has not
_SERVICES = frozenset({"app", "streamlit", "redis"})
_TAKE_IT = "Take it from the sources of this version again."


def checks(installation: Installation) -> list[Check]:
    """The checks of this group."""
    root = installation.root
    return [
        Check("Docker files", lambda: _docker(root)),
        Check(_GUNICORN, lambda: [_unless_wrong(installation) or _gunicorn(root / _GUNICORN)], limit_s=30),
    ]


def _unless_wrong(installation: Installation) -> Finding | None:
    # It reads all settings, and ends its process where one is wrong.
    return skipped(_GUNICORN, why) if (why := installation.why_not("")) else None


def _docker(root: Path) -> Iterator[Finding]:
    is_source_tree = (root / _SOURCES).exists()
    for name in _DOCKER:
        if (root / name).is_file():
            yield _compose(root / name) if name == "docker-compose.yml" else ok(name, "is there")
        elif is_source_tree:
            yield failure(name, f"It is missing from {root}.", _TAKE_IT)
        else:
            yield skipped(name, "not part of this installation, which was made from an image or a package")


def _compose(path: Path) -> Finding:
    try:
        described = yaml.safe_load(path.read_text())
        services = set(described["services"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return failure(path.name, "It is no compose file.", "`docker compose config` says what is wrong with it.")
    if missing := sorted(_SERVICES - services):
        return failure(path.name, f"It lacks the service {' and '.join(missing)}.", _TAKE_IT)
    return ok(path.name, f"describes {', '.join(sorted(services))}")


def _gunicorn(path: Path) -> Finding:
    if not path.is_file():
        return failure(path.name, f"It is missing from {path.parent}.", _TAKE_IT)
    config = Config()
    where = f"`gunicorn --check-config -c {path.name} wsgi:application` says why."
    try:
        given: dict[str, Any] = runpy.run_path(str(path))
        for name in sorted(given.keys() & config.settings.keys()):
            config.set(name, given[name])
        worker = config.worker_class.__name__
    except SystemExit:  # as it does where it refuses the settings
        return failure(path.name, "It does not let gunicorn start with these settings.", where)
    except Exception as exc:  # it is a program: anything may go wrong in it
        return failure(path.name, f"gunicorn cannot load it: {type(exc).__name__}.", where)
    return ok(path.name, f"gunicorn can load it: {config.workers} × {worker}")
