"""The files by which the service is deployed."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from gunicorn.config import Config  # type: ignore[import-untyped] # it ships no types

from bootstrap.checks.settings import Installation
from utils.findings import Finding, failure, ok, skipped

_DOCKER = ("Dockerfile", "docker-compose.yml", ".dockerignore")
_SOURCES = "Makefile"  # what a source tree has and an image has not
_SERVICES = frozenset({"app", "streamlit", "redis"})
_TAKE_IT = "Take it from the sources of this version again."


def check_docker_files(installation: Installation) -> Iterator[Finding]:
    """Whether they are there, and what docker-compose.yml describes."""
    root = installation.root
    is_source_tree = (root / _SOURCES).exists()
    for name in _DOCKER:
        if (root / name).is_file():
            yield _check_compose(root / name) if name == "docker-compose.yml" else ok(name, "is there")
        elif is_source_tree:
            yield failure(name, f"It is missing from {root}.", _TAKE_IT)
        else:
            yield skipped(name, "not part of this installation, which was made from an image or a package")


def _check_compose(path: Path) -> Finding:
    try:
        services = set(yaml.safe_load(path.read_text())["services"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return failure(path.name, "It is no compose file.", "`docker compose config` says what is wrong with it.")
    if missing := sorted(_SERVICES - services):
        return failure(path.name, f"It lacks the service {' and '.join(missing)}.", _TAKE_IT)
    return ok(path.name, f"describes {', '.join(sorted(services))}")


def check_gunicorn(installation: Installation) -> Iterator[Finding]:
    """Whether gunicorn can load its settings."""
    path, config = installation.root / "gunicorn.conf.py", Config()
    if not path.is_file():
        yield failure(path.name, f"It is missing from {path.parent}.", _TAKE_IT)
        return
    remedy = f"`gunicorn --check-config -c {path.name} wsgi:application` says why."
    try:
        values: dict[str, Any] = runpy.run_path(str(path))
        for name in sorted(values.keys() & config.settings.keys()):
            config.set(name, values[name])
        yield ok(path.name, f"gunicorn can load it: {config.workers} × {config.worker_class.__name__}")
    except SystemExit:  # as it does where it refuses the settings
        yield failure(path.name, "It does not let gunicorn start with these settings.", remedy)
    except Exception as exc:  # it is a program: anything may go wrong in it
        yield failure(path.name, f"gunicorn cannot load it: {type(exc).__name__}.", remedy)
