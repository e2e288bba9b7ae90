"""The settings: loaded as the service does it, and where values are wrong, without those, so that the rest is checked.

And `.env`: who may read it; and names that are probably misspelt. Values are never shown.
"""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values
from pydantic import SecretStr

from bootstrap.installation import UnitSettings
from config import (
    ENV_FILE,
    Settings,
    SettingsError,
    SettingsFileError,
    find_misspelt_variables,
    list_variables,
    load_settings,
    settings_file,
)
from utils.findings import Finding, failure, ok, split_message, warning

_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_LOGIN = re.compile(r"//[^/@\s'\"]*@")
_LONG_ENOUGH = 6  # to tell a secret from a word that is meant as one


@dataclass(frozen=True, slots=True)
class Installation:
    """What is checked: the service's folder, its settings, and whether other machines may be asked.

    *wrong* are the fields of *settings* whose values cannot be used: there they have their defaults.
    """

    root: Path
    settings: Settings
    offline: bool = False
    wrong: frozenset[str] = frozenset()

    def explain_skip(self, *prefixes: str, asks: Callable[[Settings], object] = lambda _: False) -> str:
        """A reason to skip a check, else "": a field that begins with one of *prefixes* is wrong, or it may not ask."""
        concerned = sorted(name.upper() for name in self.wrong if name.startswith(prefixes))
        if concerned:
            return f"not looked at, because {' and '.join(concerned)} cannot be used"
        return "not asked (--offline)" if self.offline and asks(self.settings) else ""


def load_installation(root: Path, *, offline: bool) -> tuple[Installation | None, list[Finding]]:
    """The installation by this environment and `.env`, None where that cannot be told; and what was found."""
    try:
        settings = load_settings()
    except SettingsFileError as exc:
        return None, [split_message(settings_file().name, str(exc), "")]
    except SettingsError as exc:
        return _load_without_wrong(root, str(exc).splitlines(), offline=offline)
    count = len(settings.model_fields_set)
    detail = f"{count} set, each with a value of its kind" if count else "none is set: everything embedded"
    return Installation(root, settings, offline), [ok("Variables", detail)]


def describe_source(entered: UnitSettings | None) -> list[Finding]:
    """The unit whose settings these are, and what of the shell is ignored; nothing where there is no unit."""
    if entered is None:
        return []
    unit, files = entered.unit, [str(file) for file in list_settings_files(entered)]
    source = ok("Installation", f"{unit.path}, settings in {' and '.join(files) or 'it'}, user {unit.user}")
    what = "It is set in this shell, but ignored: a unit starts the service."
    remedy = f"Unset it; to change the service write it into {files[0] if files else unit.path}."
    return [source, *(warning(name, what, remedy) for name in list_ignored(entered))]


def list_settings_files(entered: UnitSettings) -> list[Path]:
    """The files beside the unit that its settings are in; what stands in the first one wins."""
    return [*([settings_file()] if os.environ.get(ENV_FILE) else []), *entered.unit.files]


def list_ignored(entered: UnitSettings) -> list[str]:
    """The variables of ours that are set in this shell for nothing."""
    return [name for name in entered.ignored if name in list_variables()]


def _load_without_wrong(root: Path, messages: list[str], *, offline: bool) -> tuple[Installation | None, list[Finding]]:
    """With the defaults of all that is wrong: contradictions show only when every value is of its kind."""
    findings, variables, wrong = [], list_variables(), set[str]()
    while messages:
        findings += [_explain_wrong(message) for message in messages]
        concerned = {variables[name] for message in messages for name in _list_concerned(message, variables, wrong)}
        if concerned <= wrong:
            break
        wrong |= concerned
        try:
            settings = load_settings(**{field: Settings.model_fields[field].default for field in wrong})
        except SettingsError as exc:
            messages = str(exc).splitlines()
        else:
            return Installation(root, settings, offline, frozenset(wrong)), list(dict.fromkeys(findings))
    return None, list(dict.fromkeys(findings))


def _list_concerned(message: str, variables: Mapping[str, str], wrong: Collection[str]) -> list[str]:
    """The variable that *message* begins with; where that has its default already, all others that it names."""
    names = [name for name in _NAME.findall(message.partition(" It sets: ")[0]) if name in variables]
    return names[:1] if names and variables[names[0]] not in wrong else names[1:]


def _explain_wrong(message: str) -> Finding:
    """A failure by one line of a `SettingsError`, which begins with the variable's name."""
    name = _NAME.match(message)
    what, _, sets = message.partition(" It sets: ")
    text = _LOGIN.sub("//", what.removeprefix(f"{name[0]}: ") if name else what)
    return failure(name[0] if name else "Variables", text, f"Correct it. It sets: {sets}" if sets else "Correct it.")


def hide_secrets(findings: list[Finding], settings: Settings) -> list[Finding]:
    """*findings* with every secret of *settings* crossed out: a net below all the care taken elsewhere."""
    secrets = sorted((s for s in _list_secrets(settings) if len(s) >= _LONG_ENOUGH), key=len, reverse=True)

    def cross_out(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return _LOGIN.sub("//", text)

    return [replace(row, found=cross_out(row.found), remedy=cross_out(row.remedy)) for row in findings]


def _list_secrets(settings: Settings) -> set[str]:
    """Every secret, as it stands and as part of a URL."""
    values = [getattr(settings, field) for field in Settings.model_fields]
    secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    addresses = [*secrets, *(value for value in values if isinstance(value, str))]
    return {*secrets, *(part for address in addresses for part in _find_password(address))}


def _find_password(address: str) -> Iterator[str]:
    """The password in a URL, as it is written there and as it is meant."""
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield from (password, unquote(password))


def check_env_file(_: Installation) -> list[Finding]:
    """The file that a service started in this folder reads."""
    path = settings_file().absolute()
    slips = [
        warning(slip.name, f"This variable in {slip.where} is not known to the service.", f"Is {slip.meant} meant?")
        for slip in find_misspelt_variables()
    ]
    if not path.is_file():
        return [ok(".env", f"there is none in {path.parent}: variables come from the environment alone"), *slips]
    return [*_check_permissions(path), *_find_overridden(path), *slips] or [
        ok(path.name, f"{path}, closed to other users")
    ]


def _find_overridden(path: Path) -> Iterator[Finding]:
    """What stands in the file and is set otherwise in the environment, which wins over a `.env`."""
    if os.environ.get(ENV_FILE):
        return
    for name, value in dotenv_values(path).items():
        if value and os.environ.get(name, value) != value and name in list_variables():
            overridden = "It is set in the environment and, otherwise, in .env: that of the environment is used."
            yield warning(name, overridden, f"Unset it in one of them: `unset {name}` in this shell.")


def _check_permissions(path: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    # The file of an installation is root's, for the service's group to read.
    best = 0o600 if path.name == ".env" else 0o640
    if mode & (stat.S_IRWXG | stat.S_IRWXO) & ~best:
        text = f"Other users of this machine may read {path} (mode {mode:o}), keys included."
        yield warning(path.name, text, f"chmod {best:o} {path}")
