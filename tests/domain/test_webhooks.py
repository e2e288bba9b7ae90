"""Webhooks of tenants on both databases: secrets are bound to them, and events are tried again up to a limit."""

from datetime import timedelta

import pytest

from domain import webhooks
from domain.db import Database
from domain.models import WebhookDelivery, now
from domain.scoping import select_everywhere, update_everywhere
from domain.transcript import delete_conversation
from domain.webhook_deliveries import MAX_WAITING, PAUSES_S, claim, list_due, queue_event, queue_test, settle
from domain.webhook_messages import make_message
from domain.webhooks import MAX_WEBHOOKS, WebhookEvent, create_webhook
from tests.domain.records import ACME, GLOBEX
from tests.domain.test_transcript import turn, written
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound, NotReady

OLD, BOTH = Keyring({"old": bytes(32)}), Keyring({"new": b"n" * 32, "old": bytes(32)})
NEW = Keyring({"new": b"n" * 32})
ALL = list(WebhookEvent)
URL = "https://example.org/hook"


@pytest.fixture
def hooks(database: Database) -> dict[str, str]:
    """The id of a webhook of each tenant."""
    with database.open_write_session() as session:
        made = {ctx.tenant_id: create_webhook(session, ctx, URL, ALL, OLD)[0] for ctx in (ACME, GLOBEX)}
        return {tenant_id: row.webhook_id for tenant_id, row in made.items()}


def let_time_pass(database: Database) -> None:
    """Whatever waits is due."""
    with database.open_write_session() as session:
        session.execute(update_everywhere(WebhookDelivery).values(not_before=now() - timedelta(seconds=1)))


def count_waiting(database: Database) -> int:
    with database.open_read_session() as session:
        return len(session.scalars(select_everywhere(WebhookDelivery)).all())


def test_a_secret_is_rotated_and_bound_to_its_webhook(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        with pytest.raises(Conflict, match="STATE_ENCRYPTION_KEYS"):
            create_webhook(session, ACME, URL, ALL, None)
        with pytest.raises(NotFound):
            webhooks.get_webhook(session, GLOBEX, hooks["acme"])
        assert webhooks.list_webhook_ids(session, ACME) == [hooks["acme"]]
        former = webhooks.decrypt_secret(webhooks.get_webhook(session, ACME, hooks["acme"]), OLD)
        outcomes = [webhooks.rekey(session, ACME, hooks["acme"], old=BOTH, new=BOTH) for _ in range(2)]
        assert outcomes == ["done", "current"]
        assert webhooks.rekey(session, GLOBEX, hooks["acme"], old=BOTH, new=BOTH) == "absent"
    with database.open_write_session() as session:
        row, other = (webhooks.get_webhook(session, ctx, hooks[ctx.tenant_id]) for ctx in (ACME, GLOBEX))
        assert webhooks.decrypt_secret(row, NEW) == former
        other.secret = row.secret
        for keys in (BOTH, NEW, None):
            with pytest.raises(NotReady):
                webhooks.decrypt_secret(other, keys)


def test_a_tenant_has_a_limited_number_of_webhooks(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        for _ in range(MAX_WEBHOOKS - 1):
            create_webhook(session, ACME, URL, ALL, OLD)
        with pytest.raises(Conflict):
            create_webhook(session, ACME, URL, ALL, OLD)
        create_webhook(session, GLOBEX, URL, ALL, OLD)


def test_a_delivery_is_tried_later_each_time_and_given_up(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        queue_test(session, ACME, hooks["acme"])
    pauses = []
    for attempt in range(1, len(PAUSES_S) + 2):
        with database.open_write_session() as session:
            assert list_due(session) == [("acme", hooks["acme"])]
            claimed = claim(session, "acme", hooks["acme"])
            assert claimed is not None
            assert claimed.attempts == attempt
            assert claim(session, "acme", hooks["acme"]) is None  # it is being sent
        with database.open_write_session() as session:
            settle(session, claimed, failure="It cannot be reached.")
        with database.open_read_session() as session:
            rows = session.scalars(select_everywhere(WebhookDelivery)).all()
            pauses += [round((row.not_before - now()).total_seconds()) for row in rows]
        let_time_pass(database)
    assert pauses == pytest.approx(PAUSES_S, abs=2)
    assert count_waiting(database) == 0
    with database.open_read_session() as session:
        assert webhooks.get_webhook(session, ACME, hooks["acme"]).failure == "It cannot be reached."


def test_a_delivery_whose_sender_died_is_another_ones(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        queue_test(session, ACME, hooks["acme"])
        first = claim(session, "acme", hooks["acme"])
    let_time_pass(database)
    with database.open_write_session() as session:
        second = claim(session, "acme", hooks["acme"])
    assert first is not None
    assert second is not None
    assert first.delivery_id == second.delivery_id
    with database.open_write_session() as session:
        settle(session, first, failure=None)  # too late: it is not its any more
    assert count_waiting(database) == 1
    with database.open_write_session() as session:
        settle(session, second, failure=None)
    assert count_waiting(database) == 0


def test_a_webhook_that_fails_is_not_asked_for_each_message(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        for _ in range(2):
            queue_test(session, ACME, hooks["acme"])
            queue_test(session, GLOBEX, hooks["globex"])
        claimed = claim(session, "acme", hooks["acme"])
    assert claimed is not None
    with database.open_write_session() as session:
        settle(session, claimed, failure="It cannot be reached.")
    with database.open_read_session() as session:
        assert list_due(session) == [("globex", hooks["globex"])]


def test_events_wait_up_to_a_limit_and_go_with_their_webhook(database: Database, hooks: dict[str, str]) -> None:
    with database.open_write_session() as session:
        subjects = [{"document_id": str(number), "state": "ready"} for number in range(MAX_WAITING + 1)]
        queue_event(session, ACME, WebhookEvent.DOCUMENT_FINISHED, subjects)
        assert queue_test(session, ACME, hooks["acme"]) is None
        assert queue_test(session, GLOBEX, hooks["globex"]) is not None
    assert count_waiting(database) == MAX_WAITING + 1
    with database.open_write_session() as session:
        webhooks.remove_webhook(session, ACME, hooks["acme"])
    assert count_waiting(database) == 1


def test_a_webhook_hears_of_its_own_events_alone(database: Database) -> None:
    with database.open_write_session() as session:
        create_webhook(session, ACME, URL, [WebhookEvent.DOCUMENT_FINISHED], OLD)
    written(database, turn(ACME, is_refusal=True))
    assert count_waiting(database) == 0


@pytest.mark.parametrize("keys", [None, OLD])
def test_a_refused_turn_is_told_once_and_not_at_all_when_it_was_deleted(
    database: Database, hooks: dict[str, str], keys: Keyring | None
) -> None:
    refused = turn(ACME, is_refusal=True)
    for _ in range(2):
        written(database, refused, turn(ACME, 2), turn(GLOBEX, 3), keys=keys)
    assert count_waiting(database) == 1
    with database.open_write_session() as session:
        claimed = claim(session, "acme", hooks["acme"])
    assert claimed is not None
    with database.open_read_session() as session:
        message = make_message(session, claimed, OLD)
    assert message is not None
    assert b"Question 1?" in message.body
    with database.open_write_session() as session:
        delete_conversation(session, ACME, "talk", erases=False, is_known=False)
    with database.open_read_session() as session:
        assert make_message(session, claimed, OLD) is None
