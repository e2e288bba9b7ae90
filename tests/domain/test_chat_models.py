"""Models of tenants on both databases: who uses one, and keys that come back as they were stored."""

from dataclasses import replace

import pytest

from domain import bots, chat_models
from domain.bots import BotAnswers
from domain.chat_models import ModelParameters, ModelSpec
from domain.db import Database
from domain.model_keys import decrypt_key
from tests.domain.records import ACME, GLOBEX
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound

KEYS = Keyring({"first": bytes(32)})
SPEC = ModelSpec("openai", "https://llm.example.org/v1", "m", ModelParameters(temperature=0.5))


def test_a_model_that_a_bot_uses_now_is_not_removed(database: Database) -> None:
    with database.open_write_session() as session:
        for ctx in (ACME, GLOBEX):
            chat_models.create_model(session, ctx, "own", SPEC, "", None)
        bots.create_bot(session, ACME, "helper", "Helper", BotAnswers(model_id="own"))
    with database.open_write_session() as session, pytest.raises(Conflict, match=r"\(helper\)"):
        chat_models.remove_model(session, ACME, "own")
    with database.open_write_session() as session:
        chat_models.remove_model(session, GLOBEX, "own")
        bots.change_bot(session, ACME, "helper", answers=BotAnswers(top_k=3))
        chat_models.remove_model(session, ACME, "own")
    with database.open_write_session() as session, pytest.raises(NotFound):
        bots.change_bot(session, ACME, "helper", answers=BotAnswers(model_id="own"))


def test_every_version_is_kept_with_its_key(database: Database) -> None:
    with database.open_write_session() as session:
        chat_models.create_model(session, ACME, "own", SPEC, "sk-0123456789abcdef", KEYS)
        chat_models.change_model(session, ACME, "own", replace(SPEC, model="n"), keys=KEYS)
        chat_models.change_model(session, ACME, "own", replace(SPEC, model="n"), api_key="other", keys=KEYS)
        chat_models.remove_model(session, ACME, "own")
    with database.open_read_session() as session:
        found = [chat_models.get_model(session, ACME, "own", version) for version in (1, 2, 3)]
        assert [one.spec for one in found] == [SPEC, replace(SPEC, model="n"), replace(SPEC, model="n")]
        keys = [decrypt_key(one.version, KEYS) for one in found]
        assert keys == ["sk-0123456789abcdef", "sk-0123456789abcdef", "other"]
        assert [one.version.api_key_end for one in found] == ["cdef", "cdef", ""]
        with pytest.raises(NotFound):
            chat_models.get_model(session, ACME, "own")
        with pytest.raises(NotFound):
            chat_models.get_model(session, GLOBEX, "own", 1)
