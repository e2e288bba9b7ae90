"""Which checks there are, and what comes of them: standard library alone, the rest is imported when its turn comes."""

from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bootstrap.checks import python
from bootstrap.checks.finding import Finding, failure
from bootstrap.checks.running import Check, run_all

Groups = dict[str, list[Finding]]
_CONFIGURATION = "Configuration"
# The modules of each group.
_GROUPS: Sequence[tuple[str, Sequence[str]]] = (
    (_CONFIGURATION, ("env_file", "advice")),
    ("Folders", ("folders",)),
    ("Modules", ("modules",)),
    ("Deployment", ("files",)),
    ("Stores", ("stores",)),
    ("Search", ("index", "reranker")),
    ("Malware", ("scanner",)),
    ("Answers", ("chat",)),
    ("Reporting", ("reporting",)),
    ("Servers", ("serving",)),
)
_INSTALL = "Install the packages first, as said above."
_ONE_VERSION = "Take all of the service's sources from one version."


def group_names() -> list[str]:
    """The groups that can be asked for by name; Python and its packages are always looked at."""
    return [name for name, _ in _GROUPS]


def survey(root: Path, *, offline: bool, only: Collection[str] = ()) -> Groups:
    """Every finding by group, about the service in *root* as it would be started in the current folder.

    *offline*: no configured dependency is asked. *only*: names of groups, none for all.
    """
    groups: Groups = {"Python": _flat(run_all(python.checks(root)))}
    try:
        settings = import_module("bootstrap.checks.settings")
    except Exception as exc:
        return groups | {_CONFIGURATION: [_not_importable(_CONFIGURATION, exc)]}
    installation, groups[_CONFIGURATION] = settings.load(root, offline=offline)
    if installation is None:
        return groups
    for name, findings in _surveyed(installation, only or group_names()).items():
        groups[name] = settings.without_secrets(groups.get(name, []) + findings, installation.settings)
    return groups


def _surveyed(installation: Any, names: Collection[str]) -> Groups:
    # The application first and alone: it imports most packages, whose time would count against the others' limits.
    groups: Groups = {}
    application = _checks_of("application", installation) if "Modules" in names else []
    first = _flat(run_all(application))
    checks = {
        group: [check for module in modules for check in _checks_of(module, installation)]
        for group, modules in _GROUPS
        if group in names
    }
    results = iter(run_all([check for listed in checks.values() for check in listed]))
    for group, listed in checks.items():
        groups[group] = (first if group == "Modules" else []) + _flat([next(results) for _ in listed])
    return groups


def _checks_of(module: str, installation: Any) -> list[Check]:
    try:
        checks: list[Check] = import_module(f"bootstrap.checks.{module}").checks(installation)
    except Exception as exc:
        finding = _not_importable(module.replace("_", " ").capitalize(), exc)
        return [Check(finding.check, lambda: [finding])]
    return checks


def _not_importable(check: str, exc: Exception) -> Finding:
    if isinstance(exc, ImportError) and exc.name:
        return failure(check, f"Not looked at: {exc.name} cannot be imported.", _INSTALL)
    return failure(check, f"Not looked at: {type(exc).__name__} on importing it.", _ONE_VERSION)


def _flat(lists: list[list[Finding]]) -> list[Finding]:
    return [finding for findings in lists for finding in findings]
