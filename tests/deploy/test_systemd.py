"""The units for systemd: it takes them, and what they start does what they say."""

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from config import Settings
from tests.deploy.units import CHAT_EXAMPLE, EXAMPLE, FOLDER, Unit, await_true, notifications, reload, started
from tests.page_variables import PAGE_VARIABLES
from tests.programs import not_installed
from tests.service import ROOT, free_port

pytestmark = [pytest.mark.long, pytest.mark.soak]

UNITS = sorted(path.name for path in FOLDER.glob("*.service"))
PAGE_KEY = "a-key-for-the-chat-page"


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest) -> Unit:
    return Unit(request.param)


@pytest.fixture
def api() -> Unit:
    return Unit("pustaka-api.service")


@pytest.fixture
def chat() -> Unit:
    return Unit("pustaka-chat.service")


def analyzer() -> str:
    """systemd's own judge of units; where systemd is not at home, the other tests read them all the same."""
    return shutil.which("systemd-analyze") or pytest.skip("systemd-analyze is not installed")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = analyzer()
    for name in UNITS:  # each may name the other
        (tmp_path / name).write_text(Unit(name).text)
    files = [str(tmp_path / name) for name in UNITS]
    checked = subprocess.run(
        [program, "verify", "--man=no", *files], capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_systemd_finds_little_that_they_could_do_beyond_their_work(unit: Unit) -> None:
    program = analyzer()
    path = str(FOLDER / unit.name)
    done = subprocess.run([program, "security", "--offline=yes", path], capture_output=True, text=True, timeout=30)
    level = re.search(r"Overall exposure level .*: ([\d.]+)", done.stdout)
    assert level, done.stderr
    assert float(level[1]) <= 2.0, "of 10"


@pytest.mark.parametrize("name", ["pustaka-api.service", "pustaka-worker.service"])
def test_all_walls_around_strangers_files_stand_under_what_the_units_allow(name: str) -> None:
    program, headers = analyzer(), Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if platform.machine() != "x86_64":
        pytest.skip("The numbers of system calls are read from Linux's headers for x86-64.")
    if not headers.is_file():
        not_installed("linux-libc-dev")
    numbers = dict(re.findall(r"^#define __NR_(\w+) (\d+)", headers.read_text(), re.MULTILINE))
    words = [word for line in Unit(name).all("SystemCallFilter") for word in line.split()]
    allowed = {call for word in words for call in calls(program, word)}
    only = "only:" + ",".join(numbers[call] for call in allowed if call in numbers)
    look = "from utils.sandbox.sandbox import Sandbox\nwith Sandbox() as one: print(dict(one.find_walls().missing))"
    command = [sys.executable, "-m", "tests.security.sandbox.lesser_kernel", only, sys.executable, "-c", look]
    looked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert looked.stdout == "{}\n", looked.stderr


def calls(program: str, name: str) -> set[str]:
    """The system calls of a group of systemd's (@system-service), or the one that is named."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run([program, "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = (line.strip() for line in told.splitlines()[1:])
    return {call for word in words if word and not word.startswith("#") for call in calls(program, word)}


@pytest.mark.parametrize("example", [EXAMPLE, CHAT_EXAMPLE], ids=lambda path: path.name)
def test_the_examples_of_variables_set_what_there_is_and_leave_secrets_to_the_operator(example: Path) -> None:
    lines = re.findall(r"^(#?)([A-Z_]+)=(.*)$", example.read_text(), re.M)
    aliases = {
        str(choice)
        for field in Settings.model_fields.values()
        if field.validation_alias
        for choice in field.validation_alias.choices  # type: ignore[union-attr] # all of ours are AliasChoices
    }
    known = {name.upper() for name in Settings.model_fields} | aliases
    assert [name for _, name, _ in lines if name not in known] == []
    assert [name for comment, name, _ in lines if not comment] == ["FORWARDED_ALLOW_IPS"]


def test_the_chat_page_gets_none_of_the_apis_secrets(chat: Unit) -> None:
    assert chat.all("EnvironmentFile") == ["/etc/pustaka-chat.env"]
    assert "PUSTAKA_ENV_FILE=" not in chat.text
    for other in ("pustaka-api.service", "pustaka-worker.service"):
        assert Unit(other).all("EnvironmentFile") == []
        assert "PUSTAKA_ENV_FILE=/etc/pustaka.env" in Unit(other).one("Environment").split()
    named = set(re.findall(r"^#?([A-Z_]+)=", CHAT_EXAMPLE.read_text(), re.M))
    assert named <= PAGE_VARIABLES
    assert {"CHAT_PAGE_KEY", "CHAT_LOGIN", "LOCAL_HISTORY", "FORWARDED_ALLOW_IPS"} <= named


def test_the_api_says_when_it_listens_takes_up_settings_and_stops_in_time(api: Unit, tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("# Rooms\n\nA room costs 850,000 rupiah.\n")
    port, settings, log = free_port(), tmp_path / "pustaka.env", tmp_path / "log"
    own = f"PORT={port}\nDATA_DIR={tmp_path / 'data'}\nKNOWLEDGE_DIR={tmp_path / 'documents'}\nAPI_KEY={PAGE_KEY}\n"
    settings.write_text(EXAMPLE.read_text() + own)
    assert api.one("Type") == "notify"

    def ask_health() -> httpx.Response | None:
        try:
            url = f"http://127.0.0.1:{port}/health?verbose"
            return httpx.get(url, headers={"X-API-Key": PAGE_KEY}, trust_env=False, timeout=5)
        except httpx.TransportError:
            return None

    def is_in(environment: str) -> bool:
        health = ask_health()
        return health is not None and health.json().get("environment") == environment

    with notifications() as told:
        environment = api.environment("", NOTIFY_SOCKET=told.address, PUSTAKA_ENV_FILE=str(settings))
        with started(api, api.command(), environment, log) as process:
            told.wait_until_ready()
            await_true(process, log, lambda: is_in("production"))
            unchanged = reload(api, environment)
            assert (unchanged.returncode, unchanged.stdout) == (0, "Reloaded. No setting has changed.\n")
            # What the file says wins over the unit's environment, as EnvironmentFile= does.
            changed = own.replace(f"PORT={port}", f"PORT={free_port()}") + "FLASK_ENV=testing\nREDIS_PORT=6380\n"
            settings.write_text(changed + "CONVERSATION_TTL=soon\n")
            refused = reload(api, environment)
            assert refused.returncode == 1
            assert "CONVERSATION_TTL: Has to be a whole number (it is 'soon')." in refused.stderr
            await_true(process, log, lambda: is_in("production"))
            settings.write_text(changed)
            reloaded = reload(api, environment)
            assert (reloaded.returncode, reloaded.stdout) == (
                0,
                "Reloaded. Changed: FORWARDED_ALLOW_IPS, FLASK_ENV. "
                "Changed, but not before a restart: PORT, REDIS_PORT.\n",
            )
            await_true(process, log, lambda: is_in("testing"))
    assert process.returncode == 0
    assert reload(api, environment).stderr.endswith(f"No service under gunicorn runs on {tmp_path / 'data'}.\n")


def test_the_api_is_granted_the_time_that_gunicorn_takes(api: Unit) -> None:
    assert api.seconds("TimeoutStopSec") >= Settings.model_fields["graceful_timeout"].default + 5


def test_the_chat_page_starts_with_what_the_unit_gives_it(chat: Unit, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = [word.replace("8501", str(port)) for word in chat.command()]
    environment = chat.environment(f"{CHAT_EXAMPLE.read_text()}\nCHAT_PAGE_KEY={PAGE_KEY}", HOME=str(tmp_path))

    def is_healthy() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/_stcore/health", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False

    with started(chat, command, environment, log) as process:
        await_true(process, log, is_healthy)


@pytest.mark.parametrize(("key", "code"), [(PAGE_KEY, 0), ("", 1)])
def test_without_its_key_the_chat_page_does_not_start_and_says_why(chat: Unit, key: str, code: int) -> None:
    environment = chat.environment("", CHAT_PAGE_KEY=key)
    checked = subprocess.run(
        chat.command("ExecStartPre"), env=environment, capture_output=True, text=True, timeout=10, check=False
    )
    assert checked.returncode == code
    assert ("CHAT_PAGE_KEY" in checked.stderr) is (code != 0)
