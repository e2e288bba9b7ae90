"""The image: it holds what its commands need and nothing else, and what it starts passes its own health check."""

import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.observability import SENTRY_PACKAGE
from config import VERSION, Settings
from tests.deploy import image
from tests.programs import installed
from tests.service import ROOT, free_port, plain_environment

pytestmark = pytest.mark.long

BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies in /app of the image."""
    return image.copy_context(tmp_path_factory.mktemp("image") / "app")


def test_all_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sources = [
        source
        for arguments in image.arguments_of("COPY")
        if "--from=" not in arguments
        for source in arguments.split()[:-1]
    ]
    assert "." in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source == "." or image.is_sent(source), source


def test_every_line_of_the_ignore_file_names_something_that_exists() -> None:
    named = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.local",
        ".git/config",
        ".venv/bin/python",
        "data/pustaka.db",
        "tests/service.py",
        "id_rsa",
        "agents/__pycache__/rag.cpython-311.pyc",
        ".streamlit/secrets.toml",
        "deploy/nginx/server.key",
        "documents/private.pdf",
    ],
)
def test_secrets_data_and_tests_are_never_sent_to_the_builder(path: str) -> None:
    assert not image.is_sent(path)


def test_every_package_of_ours_that_is_imported_is_in_the_image() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    wanted = set(declared["packages"]) - {"benchmarks"} | {f"{module}.py" for module in declared["modules"]}
    assert {name for name in wanted if not image.is_sent(name)} == set()


def test_the_image_runs_as_a_user_without_rights() -> None:
    assert image.arguments_of("USER")[-1] == "1000:1000"
    assert "useradd --uid 1000 --gid appuser" in " ".join(image.arguments_of("RUN"))
    names = [name for name, _ in image.instructions()]
    assert names.index("USER") < names.index("CMD")
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_keeps_the_promises_of_the_guide() -> None:
    assert image.installed_packages() == {"curl"}, "its health check and the guide's commands ask with it"
    assert " ".join(image.arguments_of("EXPOSE")).split() == ["8000", "8501"]
    assert image.arguments_of("VOLUME") == [image.environment()["DATA_DIR"]]
    assert len(image.arguments_of("FROM")) == 2
    assert image.exec_form("CMD") == ["gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"]


def test_both_stages_stand_on_the_same_python_and_it_is_one_we_support() -> None:
    assert {arguments.split()[0] for arguments in image.arguments_of("FROM")} == {"${PYTHON_IMAGE}"}
    (base,) = image.arguments_of("ARG")
    minor = re.fullmatch(r"PYTHON_IMAGE=python:3\.(\d+)-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert minor
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert int(minor[1]) >= int(required.removeprefix(">=3."))


def test_what_the_image_sets_are_settings_and_no_secrets() -> None:
    ours = {name.lower() for name in image.environment()} & set(Settings.model_fields)
    assert ours == {"host", "port", "data_dir"}
    for name in (*image.environment(), *image.arguments_of("ARG")):
        assert not re.search(r"KEY|SECRET|TOKEN|PASSWORD|DSN", name)


def test_versions_that_stand_in_several_files_agree() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f'org.opencontainers.image.version="{VERSION}"' in dockerfile
    uv = re.search(r"uv==[\d.]+", dockerfile)
    assert uv
    assert uv[0] in (ROOT / "Makefile").read_text()
    for name in ("requirements-sentry.in", "requirements-sentry.txt", "requirements-dev.in"):
        assert re.search(rf"^{re.escape(SENTRY_PACKAGE)}\b", (ROOT / name).read_text(), re.MULTILINE), name


def test_the_builder_installs_only_what_is_pinned_by_hash() -> None:
    install = next(run for run in image.arguments_of("RUN") if "uv pip install" in run)
    assert "--require-hashes" in install
    for name in re.findall(r"-r (\S+)", install):
        assert image.is_sent(name)
        pins = re.findall(r"^(\S+==\S+).*?(?=^\S|\Z)", (ROOT / name).read_text(), re.MULTILINE | re.DOTALL)
        assert pins
        assert "--hash=sha256:" in (ROOT / name).read_text()


@pytest.fixture(scope="module")
def started(packed: Path) -> Iterator[int]:
    """The port of what the image's CMD starts, from a copy of what is in the image."""
    installed("curl")
    port, log = free_port(), packed.parent / "log"
    variables = image.environment() | {"PORT": str(port), "HOST": "127.0.0.1", "DATA_DIR": str(packed.parent / "data")}
    del variables["PATH"]
    command = image.exec_form("CMD")
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            cwd=packed,
            env=plain_environment(variables | {"WEB_CONCURRENCY": "1"}),
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 60
        while run_health_check(port).returncode != 0:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline, log.read_text()[-3000:]
        yield port
    finally:
        process.send_signal(getattr(signal, image.arguments_of("STOPSIGNAL")[-1]))
        assert process.wait(40) == 0, log.read_text()[-3000:]


def run_health_check(port: int) -> "subprocess.CompletedProcess[bytes]":
    """The image's HEALTHCHECK, as Docker would run it, with PORT as in the container."""
    return subprocess.run(
        image.health_check(), env=plain_environment({"PORT": str(port)}), capture_output=True, timeout=30, check=False
    )


def test_the_command_serves_and_passes_the_health_check(started: int) -> None:
    assert run_health_check(started).returncode == 0


def test_the_health_check_fails_where_nothing_listens() -> None:
    assert run_health_check(free_port()).returncode != 0


def test_a_proxy_in_the_environment_does_not_mislead_the_health_check(started: int) -> None:
    done = subprocess.run(
        image.health_check(),
        env=plain_environment({"PORT": str(started), "http_proxy": f"http://127.0.0.1:{free_port()}"}),
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.soak
def test_the_flask_commands_find_their_app_in_the_image(packed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "flask"), "api-key"],
        cwd=packed,
        env=plain_environment({"DATA_DIR": str(tmp_path / "data")}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.fullmatch(r"API_KEY='ak_live_\w+'\n", done.stdout), done.stderr


ENTRY = ROOT / "deploy" / "compose" / "entrypoint.sh"


def enter(keys: Path, **variables: str) -> str:
    """The CHAT_PAGE_KEY that a command has, started by the entry point with the key's volume in *keys*."""
    script = ENTRY.read_text().replace("/app/page-key", str(keys))
    path = f"{BIN}:/usr/bin:/bin"
    done = subprocess.run(
        ["sh", "-c", script, "entrypoint.sh", "sh", "-c", 'printf %s "${CHAT_PAGE_KEY-unset}"'],
        env=plain_environment({**variables, "PATH": path}),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_entry_point_can_be_executed() -> None:
    assert image.exec_form("ENTRYPOINT") == ["/app/deploy/compose/entrypoint.sh"]
    assert ENTRY.stat().st_mode & 0o111 == 0o111


def test_a_page_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = enter(tmp_path)
    assert len(first) >= 40
    assert enter(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert enter(other) != first


def test_containers_that_start_together_agree_on_the_page_key(tmp_path: Path) -> None:
    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(enter(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_page_key_that_is_configured_wins(tmp_path: Path) -> None:
    assert enter(tmp_path, CHAT_PAGE_KEY="one-of-our-own-making") == "one-of-our-own-making"
    assert list(tmp_path.iterdir()) == []


def test_without_a_volume_for_it_no_page_key_is_made(tmp_path: Path) -> None:
    assert enter(tmp_path / "nowhere") == "unset"


def test_an_empty_page_key_stops_the_container_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        enter(tmp_path)
    assert "CHAT_PAGE_KEY" in refused.value.stderr
    (tmp_path / "key").unlink()
    assert len(enter(tmp_path)) >= 40
