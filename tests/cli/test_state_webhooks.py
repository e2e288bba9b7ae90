"""`flask state encrypt` and the secrets of webhooks, of two tenants."""

from contextlib import closing
from pathlib import Path

from domain.db_opening import open_database
from domain.webhooks import WebhookEvent, create_webhook, decrypt_secret, get_webhook
from tests.cli.stored import NEW, OLD, ROTATING, redis_server
from tests.cli.test_model_commands import flask_on
from tests.domain.records import ACME, GLOBEX
from tests.servers.redis import RedisServer
from utils.checkpointer.cipher import Keyring

__all__ = ["redis_server"]


def test_secrets_of_webhooks_are_rotated_with_conversations(tmp_path: Path, redis_server: RedisServer) -> None:
    redis_server.client.flushall()
    rotate = flask_on(tmp_path, keys=ROTATING, redis_url=redis_server.url)
    with closing(open_database(f"sqlite:///{tmp_path / 'data' / 'pustaka.db'}")) as database:
        with database.open_write_session() as session:
            old = Keyring.parse(OLD)
            made = [
                (ctx, create_webhook(session, ctx, "https://example.org/", [WebhookEvent.QUESTION_REFUSED], old)[0])
                for ctx in (ACME, GLOBEX)
            ]
            former = [(ctx, row.webhook_id, decrypt_secret(row, old)) for ctx, row in made]
        done = rotate("state", "encrypt", "--all")
        assert "2 secrets of webhooks encrypted under 'new'; 0 were already." in done.stdout, done.output
        with database.open_read_session() as session:
            for ctx, webhook_id, secret in former:
                assert decrypt_secret(get_webhook(session, ctx, webhook_id), Keyring.parse(NEW)) == secret
    kept = flask_on(tmp_path, keys=NEW, redis_url=redis_server.url)("state", "encrypt", "--all", "--decrypt").stdout
    assert "2 secrets of webhooks stay encrypted, as they are stored in no other way" in kept
    assert "remove STATE_ENCRYPTION_KEYS" not in kept
