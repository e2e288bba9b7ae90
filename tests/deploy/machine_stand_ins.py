"""Stands in for what an empty machine of ours has not: systemd, package servers, the code's server, Let's Encrypt.

Called by the name of the program. `systemctl` starts what the units say, as the users and with the variables they name,
and waits for the message of `Type=notify`; systemd's sandbox is tried elsewhere.
"""

import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_STATE = Path("/run/units")
_PACKAGES = {"postgresql": "/usr/lib/postgresql", "nginx": "/usr/sbin/nginx", "python3-venv": "/usr/bin/python3"}


def apt_get(arguments: list[str]) -> int:
    """Packages are there already, or not needed; servers are started, as Debian's are."""
    words = [word for word in arguments if not word.startswith("-")]
    if words[0] != "install":
        return 0
    for package in words[1:]:
        program = _PACKAGES.get(package, package)
        if not shutil.which(program) and not Path(program).exists():
            return _fail(f"{package} is not installed on the machine that is tested on")
    for server in {"redis-server", "postgresql", "nginx"} & set(words):
        systemctl(["start", server])
    return 0


def git(arguments: list[str]) -> int:
    """`clone`: the sources as they are, with the packages that are installed already."""
    target, sources = Path(arguments[-1]), Path(os.environ["SOURCES"])
    ignored = shutil.ignore_patterns(".git", ".venv", "data", ".env", "__pycache__")
    shutil.copytree(sources, target, ignore=ignored, symlinks=True)
    (target / ".venv").symlink_to(os.environ["VENV"])
    for mark in (".server-installed", ".tools-installed"):
        (target / ".venv" / mark).touch()
    return 0


def certbot(arguments: list[str]) -> int:
    """A certificate that this machine trusts, with the hooks run around it."""
    name = arguments[arguments.index("--domain") + 1]
    folder = Path("/etc/letsencrypt/live", name)
    folder.mkdir(parents=True)
    _run(arguments[arguments.index("--pre-hook") + 1])
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    made = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {certificate}"
    _run(f"{made} -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name} 2>/dev/null")
    with Path("/etc/ssl/certs/ca-certificates.crt").open("a") as trusted:
        trusted.write(certificate.read_text())
    _run(arguments[arguments.index("--post-hook") + 1])
    return 0


def systemctl(arguments: list[str]) -> int:
    """start, stop, restart, reload, and enable --now."""
    command, *units = (word for word in arguments if not word.startswith("-"))
    for unit in units:
        if command in ("stop", "restart"):
            _stop(unit)
        if command in ("start", "restart", "enable"):
            _start(unit)
        if command == "reload" and (code := _reload(unit)):
            return code
    return 0


def _start(unit: str) -> None:
    if _is_running(unit):
        return
    if unit == "postgresql":
        version = max(Path("/usr/lib/postgresql").iterdir(), key=lambda path: int(path.name)).name
        if not Path(f"/etc/postgresql/{version}/main").exists():
            _run(f"pg_createcluster {version} main >/dev/null")
        Path("/run/postgresql").mkdir(exist_ok=True, mode=0o2775)
        shutil.chown("/run/postgresql", "postgres", "postgres")
        _run(f"pg_ctlcluster --skip-systemctl-redirect {version} main start")
        _run("timeout 60 sh -c 'until pg_isready --quiet; do sleep 0.1; done'")
        return
    if unit == "redis-server":
        Path("/run/redis").mkdir(exist_ok=True)
        shutil.chown("/run/redis", "redis", "redis")
        account, command, cwd = (
            "redis",
            ["redis-server", "/etc/redis/redis.conf", "--daemonize", "no"],
            "/var/lib/redis",
        )
        _launch(unit, command, account, cwd, {})
        _wait(lambda: socket.socket().connect_ex(("127.0.0.1", 6379)) == 0, unit)
        return
    if unit == "nginx":
        _launch(unit, ["nginx", "-g", "daemon off;"], "root", "/", {})
        _wait(lambda: socket.socket().connect_ex(("127.0.0.1", 80)) == 0, unit)
        return
    settings = _settings(unit)
    user, variables = settings.get("User", ["nobody"])[0], _variables(settings)
    for name in settings.get("StateDirectory", []):
        Path("/var/lib", name).mkdir(mode=0o700, exist_ok=True)
        shutil.chown(Path("/var/lib", name), user, user)
    for before in settings.get("ExecStartPre", []):
        subprocess.run(shlex.split(before), env=variables, check=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        if settings["Type"] == ["notify"]:
            address = _STATE / f"{unit}.notify"
            address.unlink(missing_ok=True)
            told.bind(str(address))
            address.chmod(0o777)
            told.settimeout(60)
            variables["NOTIFY_SOCKET"] = str(address)
        _launch(unit, shlex.split(settings["ExecStart"][0]), user, settings["WorkingDirectory"][0], variables)
        while "NOTIFY_SOCKET" in variables and b"READY=1" not in told.recv(4096):
            pass


def _reload(unit: str) -> int:
    if unit == "nginx":
        return _run("nginx -s reload")
    settings = _settings(unit)
    return subprocess.run(
        shlex.split(settings["ExecReload"][0]), env=_variables(settings), check=False, **_identity(settings["User"][0])
    ).returncode


def _stop(unit: str) -> None:
    if not _is_running(unit):
        return
    process = int((_STATE / unit).read_text())
    os.kill(process, signal.SIGTERM)
    _wait(lambda: not _is_running(unit), unit)


def _launch(unit: str, command: list[str], user: str, cwd: str, variables: dict[str, str]) -> None:
    with Path("/var/log", f"{unit}.unit.log").open("ab") as log:
        started = subprocess.Popen(
            command, cwd=cwd, env=variables or None, stdout=log, stderr=log, start_new_session=True, umask=0o77,
            **_identity(user),
        )  # fmt: skip
    (_STATE / unit).write_text(str(started.pid))


def _identity(user: str) -> dict[str, object]:
    account = pwd.getpwnam(user)
    groups = os.getgrouplist(user, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups} if user != "root" else {}


def _settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", Path(f"/etc/systemd/system/{unit}.service").read_text(), re.M):
        found.setdefault(name, []).append(value)
    return found


def _variables(settings: dict[str, list[str]]) -> dict[str, str]:
    """Of the unit and its files, which are read as root; nothing of the shell."""
    words = [word for line in settings.get("Environment", []) for word in shlex.split(line)]
    for file in settings.get("EnvironmentFile", []):
        words += [line for line in Path(file).read_text().splitlines() if line and not line.startswith("#")]
    return {"PATH": "/usr/local/bin:/usr/bin:/bin"} | dict(word.split("=", 1) for word in words)


def _is_running(unit: str) -> bool:
    file = _STATE / unit
    if not file.exists():
        return False
    stat = Path("/proc", file.read_text(), "stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _wait(condition: Callable[[], bool], unit: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{unit} does not come or go")
        time.sleep(0.02)


def _run(command: str) -> int:
    return subprocess.run(["/bin/sh", "-c", command], check=True).returncode


def _fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 100


if __name__ == "__main__":
    _STATE.mkdir(exist_ok=True)
    called = {"apt-get": apt_get, "git": git, "certbot": certbot, "systemctl": systemctl}
    sys.exit(called[Path(sys.argv[0]).name](sys.argv[1:]))
