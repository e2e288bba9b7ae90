"""The settings and the user of a command: those of the systemd unit that runs these sources, if there is one.

Standard library alone: `validate.py` begins with it.
"""

import os
import pwd
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENV_FILE = "PUSTAKA_ENV_FILE"
UNIT = "pustaka-api.service"
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
# What a command keeps of the environment it is typed in: about the user, the terminal, language and network.
_KEPT = (
    "PATH", "USER", "LOGNAME", "SHELL", "TERM", "COLUMNS", "LINES", "NO_COLOR", "TZ", "TMPDIR", "LANG", "LANGUAGE",
    "LC_ALL", "LC_CTYPE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip


class NotAllowed(Exception):
    """Somebody else may not do this; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of systemd that runs the service: its user, the command it starts, and its environment."""

    path: Path
    user: str
    command: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()  # of EnvironmentFile=, which root may read


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """The unit whose settings a command now has, and the variables of the shell that it ignores."""

    unit: Unit
    ignored: tuple[str, ...]


def find_unit(root: Path) -> Unit | None:
    """The unit whose WorkingDirectory is *root*, None where there is none."""
    for path in (Path(folder, UNIT) for folder in _UNIT_FOLDERS):
        if not path.is_file():
            continue
        settings = list(_read_settings(path))
        folders = [value for name, value in settings if name == "WorkingDirectory"]
        if folders and Path(folders[-1]).resolve() == root.resolve():
            return _make_unit(path, settings)
    return None


def enter_installation(root: Path) -> UnitSettings | None:
    """Give this process the environment and the user of the service whose sources are in *root*.

    None, and nothing is changed, where no unit runs them, or PUSTAKA_ENV_FILE names other settings. Call it before the
    settings are read and anything is made.

    Raises:
        NotAllowed: this is neither root nor the service's user, or a file of the unit cannot be read.
    """
    unit = find_unit(root)
    if unit is None or os.environ.get(ENV_FILE, unit.variables.get(ENV_FILE)) != unit.variables.get(ENV_FILE):
        return None
    account = _find_account(unit)
    if os.geteuid() not in (0, account.pw_uid):
        raise NotAllowed(
            f"The service in {root} runs as user {unit.user}, and commands must run as that user. "
            f"Type: sudo pustaka {shlex.join(sys.argv[1:])}".rstrip()
        )
    variables = {"HOME": account.pw_dir, **unit.variables, **_read_files(unit)}
    others = {name for name in os.environ.keys() - set(_KEPT) if os.environ[name] != variables.get(name)}
    for name in others:
        del os.environ[name]
    os.environ.update(variables)
    if os.geteuid() != account.pw_uid:
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    if not os.access(".", os.X_OK):
        os.chdir("/")  # this user may not enter the folder, and nor may programs that are started in it
    return UnitSettings(unit, tuple(sorted(others)))


def remove_shell_settings() -> str:
    """Where PUSTAKA_ENV_FILE names the settings, take those of this shell out of the environment.

    For commands that act as no unit: what is left over in a shell must not send them to other stores. Gives the
    sentence that names what is ignored; "" where nothing is.
    """
    file = os.environ.get(ENV_FILE)
    if not file:
        return ""
    try:
        from config import list_variables  # it needs packages, and validate.py runs without them too
    except ImportError:
        return ""
    values = _parse_lines(file)
    stray = sorted(name for name in list_variables() if name in os.environ and os.environ[name] != values.get(name))
    for name in stray:
        del os.environ[name]
    return f"Set in this shell, but ignored because {ENV_FILE} names the settings: {', '.join(stray)}." if stray else ""


def _parse_lines(file: str) -> dict[str, str]:
    """The names and values in a file of settings; none of one that cannot be read, which is told when it is."""
    try:
        return _parse(Path(file).read_text()) if Path(file).is_file() else {}  # a pipe would never end
    except (OSError, UnicodeDecodeError):
        return {}


def _make_unit(path: Path, settings: list[tuple[str, str]]) -> Unit:
    last = dict(settings)
    words = [word for value in _list_values(settings, "Environment") for word in shlex.split(value)]
    files = _list_values(settings, "EnvironmentFile")
    return Unit(
        path,
        user=last.get("User", "root"),
        command=tuple(shlex.split(last.get("ExecStart", ""))),
        variables=dict(word.split("=", 1) for word in words if "=" in word),
        # A file whose name begins with "-" may be missing.
        files=tuple(Path(name.removeprefix("-")) for name in files if name[0] != "-" or os.path.exists(name[1:])),
    )


def _list_values(settings: list[tuple[str, str]], name: str) -> list[str]:
    """The values of a setting that may be repeated; an empty one takes back those before."""
    values: list[str] = []
    for each, value in settings:
        if each == name:
            values = [*values, value] if value else []
    return values


def _read_settings(path: Path) -> Iterator[tuple[str, str]]:
    """Names and values of a unit and its drop-ins (`systemctl edit`), in order, by systemd.syntax(7)."""
    drop_ins = {
        file.name: file for folder in reversed(_UNIT_FOLDERS) for file in Path(folder, f"{UNIT}.d").glob("*.conf")
    }
    for file in (path, *(drop_ins[name] for name in sorted(drop_ins))):
        for line in file.read_text().replace("\\\n", " ").splitlines():
            name, settings, value = line.partition("=")
            if settings and not name.startswith(("#", ";")):
                yield name.strip(), value.strip()


def _find_account(unit: Unit) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(unit.user)
    except KeyError:
        raise NotAllowed(f"There is no user {unit.user}, as whom {unit.path} runs the service.") from None


def _read_files(unit: Unit) -> dict[str, str]:
    """The variables of EnvironmentFile=, as systemd.exec(5) has them: quotes are taken off."""
    files: dict[str, str] = {}
    for file in unit.files:
        try:
            files |= _parse(file.read_text())
        except PermissionError:
            raise NotAllowed(
                f"{file} can be read by root alone. Type: sudo pustaka {shlex.join(sys.argv[1:])}"
            ) from None
        except (OSError, UnicodeDecodeError) as exc:
            raise NotAllowed(f"{file}, which {unit.path} names, cannot be read ({type(exc).__name__}).") from None
    return files


def _parse(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if "=" in line and not line.lstrip().startswith(("#", ";")))
    pairs = (line.split("=", 1) for line in lines)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}
