"""What has to hold on every worker at once: keys that are revoked."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta

import httpx
import pytest

from domain.db import Database, open_database
from domain.keys import list_keys, revoke_key, rotate_key
from domain.models import ApiKey, now
from tests.conftest import PAGE_KEY
from tests.faults.site import Site, site
from utils.context import TenantContext

ACME = TenantContext("acme", "test")
NOWHERE = "/v1/conversations/none"  # 404 for a key that is valid


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service with two workers that share their stores."""
    variables = {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_PER_HOUR": "1000000", "CHAT_PAGE_KEY": PAGE_KEY}
    with site(tmp_path_factory.mktemp("two-workers"), **variables) as made:
        yield made


@pytest.fixture
def each(two_workers: Site) -> Iterator[list[httpx.Client]]:
    """A client of each worker."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(two_workers.client_of(worker))) for worker in two_workers.service.workers()]


@pytest.fixture
def records(two_workers: Site) -> Iterator[Database]:
    """The service's database."""
    database = open_database(f"sqlite:///{two_workers.service.data_dir / 'pustaka.db'}")
    yield database
    database.close()


def statuses(clients: list[httpx.Client], key: str) -> list[int]:
    return [client.get(NOWHERE, headers={"X-API-Key": key}).status_code for client in clients]


def test_a_revoked_key_and_a_former_secret_are_refused_by_every_worker_within_ten_seconds(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    revoked, rotated, stays = (two_workers.service.new_key("acme") for _ in range(3))
    for key in (revoked, rotated, stays):
        assert statuses(each, key) == [404, 404]
    with records.writing() as session:
        revoke_key(session, ACME, revoked[8:16])
        _, new = rotate_key(session, ACME, rotated[8:16], overlap=timedelta(0))
    began = time.monotonic()
    assert statuses(each, new) == [404, 404]
    while {*statuses(each, revoked), *statuses(each, rotated)} != {401}:
        assert time.monotonic() - began < 10.5, "it takes longer than 10 s and the time of a question"
        time.sleep(0.1)  # between two looks
    for _ in range(3):
        assert statuses(each, revoked) == statuses(each, rotated) == [401, 401]
        assert statuses(each, stays) == statuses(each, new) == [404, 404]


def test_a_key_that_expires_is_refused_at_once_though_it_was_used_a_moment_before(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    key = two_workers.service.new_key("acme")
    with records.writing() as session:
        session.get_one(ApiKey, key[8:16]).expires_at = now() + timedelta(seconds=2)
    began = time.monotonic()
    assert statuses(each, key) == [404, 404]
    while statuses(each, key) != [401, 401]:
        assert time.monotonic() - began < 5
        time.sleep(0.05)  # between two looks
    assert time.monotonic() - began > 1.5


def test_the_last_use_of_a_key_is_written_beside_the_requests(
    two_workers: Site, each: list[httpx.Client], records: Database
) -> None:
    used, unused = (two_workers.service.new_key("acme") for _ in range(2))
    began = now()
    assert statuses(each, used) == [404, 404]

    def last_uses() -> dict[str, datetime | None]:
        with records.reading() as session:
            return {key.key_id: key.last_used_at for key in list_keys(session, ACME)}

    two_workers.service.wait_for(lambda: last_uses()[used[8:16]] is not None, limit_s=5)
    written = last_uses()
    assert written[unused[8:16]] is None
    last_use = written[used[8:16]]
    assert last_use is not None
    assert began <= last_use <= now()
