"""Stands in for programs that a test cannot really run: containers, the system's own services, the outside.

Called by the name of the program. What can be checked of the arguments is: that a service, unit, file or target exists.
Commands within a container are run here instead. Anything it does not know is an error, so the documents cannot name
what does not exist.
"""

import os
import subprocess
import sys
from pathlib import Path

import yaml

_WHOLE_STACK = {"up", "down", "ps", "config", "restart", "logs"}


def docker(arguments: list[str]) -> int:
    """Compose; what else it is asked for says nothing about the project."""
    return docker_compose(arguments[1:]) if arguments[0] == "compose" else 0


def docker_compose(arguments: list[str]) -> int:
    """Compose over the files of the project: every service that is named must be in one of them."""
    files = [Path("docker-compose.yml")]
    while arguments[0] == "-f":
        files.append(Path(arguments[1]))
        arguments = arguments[2:]
    services = {name for file in files for name in yaml.safe_load(file.read_text())["services"]}
    command, rest = arguments[0], arguments[1:]
    if command == "exec":
        return _inside(services, rest)
    named = [word for word in rest if not word.startswith("-") and not word.isdigit()]
    _must(command in _WHOLE_STACK, f"docker-compose {command}")
    _must(set(named) <= services, f"services {named} of {sorted(services)}")
    if command == "logs":
        print(Path(os.environ["SERVICE_LOG"]).read_text(), end="")
    return 0


def _inside(services: set[str], arguments: list[str]) -> int:
    service, command = arguments[0], arguments[1:]
    _must(service in services, f"service {service}")
    if service == "redis":
        command = [command[0], "-s", "data/valkey.sock", *command[1:]]
    return subprocess.run(command, check=False, timeout=60).returncode


def systemctl(arguments: list[str]) -> int:
    """Units are those of `deploy/systemd`, and Nginx."""
    command, *rest = arguments
    _must(command in {"daemon-reload", "enable", "restart", "reload", "status", "stop"}, f"systemctl {command}")
    for unit in (word for word in rest if not word.startswith("-")):
        _must(unit == "nginx" or Path(f"deploy/systemd/{unit}.service").exists(), f"unit {unit}")
    return 0


def journalctl(arguments: list[str]) -> int:
    """The log of the unit that `-u` names."""
    systemctl(["status", arguments[arguments.index("-u") + 1]])
    print(Path(os.environ["SERVICE_LOG"]).read_text(), end="")
    print('{"level": "ERROR", "message": "so that there is one to find"}')
    return 0


def cp(arguments: list[str]) -> int:
    """Into and out of the system's folders nothing is copied, but what is the project's must be there."""
    paths = [word for word in arguments if not word.startswith("-")]
    for source in paths[:-1]:
        _must(source.startswith("/") or Path(source).exists(), f"file {source}")
    if any(path.startswith("/") for path in paths):
        return 0
    return subprocess.run(["/bin/cp", *arguments], check=False).returncode


def make(arguments: list[str]) -> int:
    """The target must exist; nothing is made."""
    targets = [word for word in arguments if word not in ("-C", "/opt/pustaka")]
    return subprocess.run(["/usr/bin/make", "-n", *targets], check=False, stdout=subprocess.DEVNULL).returncode


def tar(arguments: list[str]) -> int:
    """Over the data of a service that the reader has stopped; here it runs on, and files may change meanwhile."""
    changed_while_read = 1
    done = subprocess.run(["/bin/tar", *arguments], check=False).returncode
    return 0 if done == changed_while_read else done


def sudo(arguments: list[str]) -> int:
    """Without becoming root."""
    return subprocess.run(arguments, check=False).returncode


def nothing(arguments: list[str]) -> int:
    """Programs whose arguments say nothing about the project."""
    return 0


PROGRAMS = {
    "docker": docker,
    "systemctl": systemctl,
    "journalctl": journalctl,
    "cp": cp,
    "make": make,
    "sudo": sudo,
    "tar": tar,
    **dict.fromkeys(("useradd", "git", "chmod", "chown", "nginx"), nothing),
}


def _must(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"The project does not have this: {what}")


if __name__ == "__main__":
    sys.exit(PROGRAMS[Path(sys.argv[0]).name](sys.argv[1:]))
