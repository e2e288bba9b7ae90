"""Fixtures for everything: running services, each a process of its own."""

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from domain.db import Database
from domain.db_opening import open_database
from tests.examples import register_profiles
from tests.fakes.model_server import FakeModelServer
from tests.programs import installed
from tests.servers.fixtures import database_uri, mariadb, migrated_template, migrated_uri, postgres, redis_cluster
from tests.service import Library, Service, assert_nothing_held_the_loop, fingerprint, library_in

__all__ = [
    "database_uri",
    "mariadb",
    "migrated_template",
    "migrated_uri",
    "postgres",
    "redis_cluster",
]  # fixtures of all tests

# What checks the SBOM brings it, no server has it, and its import builds grammars for a second: jsonschema would do so.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type] # as the import system wants it
register_profiles()
expect.set_options(timeout=20_000)  # a page on a machine that does other things too
Service.preloaded = True
PAGE_KEY = "the-key-of-the-chat-page"
FAKE_MODEL = {"LLM_API_KEY": "unused", "LLM_MODEL": "fake", "LLM_RETRY_AFTER": "0"}


def pytest_collection(session: pytest.Session) -> None:
    """Import what is collected, each worker from another file on: in a fresh clone pytest takes longer to rewrite a
    file's asserts than to import it, and finds what another worker has rewritten."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return
    given = [Path(each.partition("::")[0]).absolute() for each in session.config.args]
    files = [file for path in given for file in (sorted(path.rglob("test_*.py")) if path.is_dir() else [path])]
    first = int(worker.removeprefix("gw")) * len(files) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    for file in files[first:] + files[:first]:
        with suppress(Exception, pytest.skip.Exception):  # pytest imports it again, and tells of it
            importlib.import_module(".".join(file.relative_to(session.config.rootpath).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what tests leave behind, and not at all that was imported for them."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, and find no test that `make` would not."""
    _refuse_unseen(items)
    items.sort(key=lambda item: item.get_closest_marker("first") is None)


def _refuse_unseen(items: list[pytest.Item]) -> None:
    """Refuse a test of `make test-long` or `make soak` in a file where these do not look for one; see the Makefile."""
    names = "long", "alone", "soak"
    marked = {(name, item.path) for item in items for name in names if item.get_closest_marker(name)}
    for name, path in sorted(marked):
        if f"mark.{name}" not in path.read_text():
            raise pytest.UsageError(f"{path} has tests with the marker {name}: mark.{name} must stand in it.")


@pytest.fixture
def database(migrated_uri: str) -> Iterator[Database]:
    """A migrated database with two tenants, of each kind in turn."""
    database = open_database(migrated_uri)
    yield database
    database.close()


@pytest.fixture(autouse=True)
def restored_umask() -> Iterator[None]:
    """Commands run within this process close new files to others: the files of every test are as open as usual."""
    os.umask(0o022)
    yield
    os.umask(0o022)  # for the fixtures of the next, which come before this one


@pytest.fixture(scope="session")
def library(pytestconfig: pytest.Config) -> Library:
    """The samples with their vectors, which take half a minute: once a day and state of the code, copied by each."""
    return library_in(pytestconfig.cache.mkdir("library"), fingerprint())


@pytest.fixture(scope="session")
def service(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service as it is with nothing configured, with its vectors computed; requests are not limited."""
    variables = {"RATE_LIMIT_ENABLED": "false", "CHAT_PAGE_KEY": PAGE_KEY}
    with library.service(tmp_path_factory.mktemp("service"), **variables).keeping_vectors().watched() as running:
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture(scope="session")
def other_key(service: Service) -> str:
    """A key of another tenant of `service`; other tests may have left it documents."""
    return service.new_key("acme")


@pytest.fixture(scope="session")
def key_without_documents(service: Service) -> str:
    """A key of a tenant of `service` that no test gives documents."""
    return service.new_key("without-documents")


@pytest.fixture
def client(service: Service) -> Iterator[httpx.Client]:
    """A client of `service` with the default tenant's key."""
    with service.client() as opened:
        yield opened


@pytest.fixture
def other_client(service: Service, other_key: str) -> Iterator[httpx.Client]:
    """A client of `service` with the other tenant's key."""
    with service.client(other_key) as opened:
        yield opened


@pytest.fixture
def page_client(service: Service) -> Iterator[httpx.Client]:
    """A client of `service` with the chat page's key."""
    with service.client(PAGE_KEY) as opened:
        yield opened


@pytest.fixture(scope="session")
def model_server() -> Iterator[FakeModelServer]:
    """A model endpoint of our own, which each file of tests finds as it was; reset it between tests."""
    with FakeModelServer() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _usual_model(model_server: FakeModelServer) -> None:
    """What the last file left would slow or break the first turn of this one: workers run files in any order."""
    model_server.reset()


@pytest.fixture(scope="session")
def service_with_model(
    library: Library, tmp_path_factory: pytest.TempPathFactory, model_server: FakeModelServer
) -> Iterator[Service]:
    """The service with a language model at `model_server`, impatient and without retries."""
    variables = {**FAKE_MODEL, "LLM_BASE_URL": model_server.base_url, "LLM_TIMEOUT": "2", "LLM_MAX_RETRIES": "0"}
    folder = tmp_path_factory.mktemp("with-model")
    with library.service(folder, RATE_LIMIT_ENABLED="false", **variables).keeping_vectors().watched() as running:
        yield running
        assert_nothing_held_the_loop(running)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window. By module: while it is open, no test can be a coroutine."""
    path = installed("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
