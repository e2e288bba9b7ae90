"""The settings: loaded as the service does it, and where values are wrong, without those, so that the rest is seen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from bootstrap.checks.finding import Finding, failure, ok
from config import Settings, SettingsError, load_settings

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_LOGIN = re.compile(r"//[^/@\s'\"]*@")
_LONG_ENOUGH = 6  # to tell a secret from a word that is meant as one


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at: the service's folder, its settings, and whether other machines may be asked.

    *wrong* are the fields of *settings* whose values cannot be used: there they have their defaults.
    """

    root: Path
    settings: Settings
    offline: bool = False
    wrong: frozenset[str] = frozenset()

    def why_not(self, *prefixes: str) -> str:
        """A reason not to look if a field whose name begins with one of *prefixes* is wrong; else ""."""
        concerned = sorted(name.upper() for name in self.wrong if name.startswith(prefixes))
        return f"not looked at, because {' and '.join(concerned)} cannot be used" if concerned else ""

    def why_not_ask(self, *prefixes: str) -> str:
        """The same, also if nothing outside may be asked."""
        return self.why_not(*prefixes) or ("not asked (--offline)" if self.offline else "")


def load(root: Path, *, offline: bool) -> tuple[Installation | None, list[Finding]]:
    """The installation by this environment and `.env`, None where that cannot be told; and what was found."""
    try:
        settings = load_settings()
    except SettingsError as exc:
        return _load_without_wrong(root, str(exc).splitlines(), offline=offline)
    except (OSError, UnicodeDecodeError) as exc:
        found = f"It cannot be read ({type(exc).__name__})."
        return None, [failure(".env", found, "Make it a text file in UTF-8 that this user may read.")]
    given = len(settings.model_fields_set)
    found = f"{given} set, each with a value of its kind" if given else "none is set: everything embedded"
    return Installation(root, settings, offline), [ok("Variables", found)]


def variables() -> dict[str, str]:
    """The field that each variable sets, aliases included."""
    return {name: field for field, info in Settings.model_fields.items() for name in _names(field, info)}


def without_secrets(findings: list[Finding], settings: Settings) -> list[Finding]:
    """*findings* with every secret of *settings* crossed out: a net below all the care taken elsewhere."""
    secrets = sorted((s for s in _secrets(settings) if len(s) >= _LONG_ENOUGH), key=len, reverse=True)

    def crossed_out(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return _LOGIN.sub("//", text)

    return [replace(row, found=crossed_out(row.found), remedy=crossed_out(row.remedy)) for row in findings]


def _secrets(settings: Settings) -> set[str]:
    """Every secret, as it stands and as part of a URL."""
    values = [getattr(settings, field) for field in Settings.model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    addresses = [*secrets, *(value for value in values if isinstance(value, str))]
    return {*secrets, *(part for address in addresses for part in _password(address))}


def _names(field: str, info: FieldInfo) -> Iterator[str]:
    yield field.upper()
    if isinstance(info.validation_alias, AliasChoices):
        yield from (str(choice) for choice in info.validation_alias.choices)


def _load_without_wrong(root: Path, messages: list[str], *, offline: bool) -> tuple[Installation | None, list[Finding]]:
    findings = [_wrong(message) for message in messages]
    known = variables()
    fields = {known[finding.check] for finding in findings if finding.check in known}
    try:
        settings = load_settings(**{field: Settings.model_fields[field].default for field in fields})
    except SettingsError:
        return None, findings
    return Installation(root, settings, offline, frozenset(fields)), findings


def _wrong(message: str) -> Finding:
    """A failure by one line of a `SettingsError`, which begins with the variable's name."""
    name = _NAME.match(message)
    what, _, sets = message.partition(" It sets: ")
    found = _LOGIN.sub("//", what.removeprefix(f"{name[0]}: ") if name else what)
    return failure(name[0] if name else "Variables", found, f"Correct it. It sets: {sets}" if sets else "Correct it.")


def _password(address: str) -> Iterator[str]:
    """The password in a URL, as it is written there and as it is meant."""
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))
