"""Values to bytes and back: with and without keys, with and without zstandard."""

import base64
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis.strategies as st
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings

from tests.examples import count_examples
from utils.checkpointer.cipher import Keyring, parse_keys
from utils.checkpointer.codec import Codec, Value
from utils.checkpointer.errors import UnreadableValue
from utils.checkpointer.keys import make_blob_context

ROOT = Path(__file__).resolve().parents[3]
NEW, OLD = secrets.token_bytes(32), secrets.token_bytes(32)
PLAIN, KEYED = Codec(), Codec(Keyring({"new": NEW}))
ROTATED, EARLIER = Codec(Keyring({"new": NEW, "old": OLD})), Codec(Keyring({"old": OLD}))
TENANTS = ["x", "acme.x"]
ABOUT = b"acme.x\0b0123456789abcdef"
LONG = Value("msgpack", b"what was said about the opening hours, and again what was said. " * 20)
SHORT = Value("bytes", b"what was said")
VALUES = st.builds(Value, st.sampled_from(["msgpack", "bytes", "bytearray"]), st.binary(max_size=600))
# Runs with zstandard hidden: what the statements in argv print is the outcome.
WITHOUT_ZSTANDARD = """
import sys
sys.modules["zstandard"] = None
from utils.checkpointer.codec import Codec, Value
from utils.checkpointer.errors import UnreadableValue
codec, long = Codec(), Value("msgpack", b"what was said about the opening hours, and again what was said. " * 20)
"""


def text_of(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode()


@given(value=VALUES, about=st.binary(max_size=40))
@pytest.mark.parametrize("codec", [PLAIN, KEYED], ids=["plain", "keyed"])
def test_what_was_sealed_is_opened(codec: Codec, value: Value, about: bytes) -> None:
    assert codec.open(codec.seal(value, about), about, codec.make_ref(value)) == value


@pytest.mark.parametrize("value", [SHORT, LONG])
def test_with_a_key_neither_the_text_nor_its_digest_is_in_the_bytes(value: Value) -> None:
    sealed = KEYED.seal(value, ABOUT)
    assert b"said" not in sealed
    assert KEYED.make_ref(value) not in (PLAIN.make_ref(value), EARLIER.make_ref(value))
    assert KEYED.make_ref(value) == KEYED.make_ref(value)
    assert KEYED.seal(value, ABOUT) != sealed  # a nonce of its own each time
    assert len(sealed) - len(PLAIN.seal(value, ABOUT)) == 33


@given(value=VALUES, data=st.data())
@settings(max_examples=count_examples(300), suppress_health_check=list(HealthCheck))
def test_a_change_anywhere_in_encrypted_bytes_is_noticed(value: Value, data: st.DataObject) -> None:
    sealed = KEYED.seal(value, ABOUT)
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    for damaged in (flipped, sealed[:at], sealed[at + 1 :], sealed + b"\0", sealed[:at] + sealed[at + 1 :]):
        with pytest.raises(UnreadableValue):
            KEYED.open(damaged, ABOUT)


@pytest.mark.parametrize("thread_id", TENANTS)
def test_a_value_is_opened_only_as_what_it_is_about(thread_id: str) -> None:
    ref = KEYED.make_ref(LONG)
    sealed = KEYED.seal(LONG, make_blob_context(thread_id, ref))
    others = [make_blob_context(other, ref) for other in TENANTS if other != thread_id]
    for about in (*others, make_blob_context(thread_id, KEYED.make_ref(SHORT)), b""):
        with pytest.raises(UnreadableValue, match="moved"):
            KEYED.open(sealed, about, ref)


def test_after_a_rotation_the_old_is_read_and_the_new_is_written() -> None:
    before = EARLIER.seal(LONG, ABOUT)
    assert ROTATED.open(before, ABOUT, EARLIER.make_ref(LONG)) == LONG
    after = ROTATED.seal(LONG, ABOUT)
    assert KEYED.open(after, ABOUT, ROTATED.make_ref(LONG)) == LONG
    with pytest.raises(UnreadableValue, match="the key 'new', which is not configured"):
        EARLIER.open(after, ABOUT)
    with pytest.raises(UnreadableValue, match="the key 'new', which is not configured"):
        PLAIN.open(after, ABOUT)


def test_what_is_not_under_the_writing_key_is_not_current() -> None:
    by = {"plain": PLAIN.seal(LONG, ABOUT), "old": EARLIER.seal(LONG, ABOUT), "new": KEYED.seal(LONG, ABOUT)}
    assert [name for name, sealed in by.items() if PLAIN.is_current(sealed)] == ["plain"]
    assert [name for name, sealed in by.items() if ROTATED.is_current(sealed)] == ["new"]
    assert [name for name, sealed in by.items() if EARLIER.is_current(sealed)] == ["old"]


def test_a_key_of_the_same_name_but_other_bytes_opens_nothing() -> None:
    with pytest.raises(UnreadableValue, match="another key than 'new'"):
        Codec(Keyring({"new": OLD})).open(KEYED.seal(LONG, ABOUT), ABOUT)


@pytest.mark.parametrize("value", [SHORT, LONG])
def test_what_is_not_encrypted_is_refused_once_there_are_keys(value: Value) -> None:
    plain = PLAIN.seal(value, ABOUT)
    with pytest.raises(UnreadableValue, match="not encrypted"):
        KEYED.open(plain, ABOUT, PLAIN.make_ref(value))
    operator = Codec(Keyring({"new": NEW}), plain_too=True)
    assert operator.open(plain, ABOUT, PLAIN.make_ref(value)) == value
    with pytest.raises(UnreadableValue, match="does not match its digest"):
        operator.open(plain, ABOUT, PLAIN.make_ref(Value("bytes", b"another")))


def test_threads_share_a_codec() -> None:
    values = [Value("msgpack", bytes([n]) * 700 + LONG.data) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda value: KEYED.seal(value, ABOUT), values))
        assert list(pool.map(lambda found: KEYED.open(found, ABOUT), sealed)) == values


def test_keys_are_read_in_order_and_in_either_alphabet() -> None:
    padded, bare = base64.b64encode(NEW).decode(), text_of(OLD).rstrip("=")
    assert list(parse_keys(f"2026-11:{padded}, old:{bare}").items()) == [("2026-11", NEW), ("old", OLD)]
    assert Keyring.parse(f"2026-11:{padded},old:{bare}").current == "2026-11"


@pytest.mark.parametrize(
    "wrong",
    [
        "{new}",
        "new:{new},{old}",
        "new:{new},",
        ":{new}",
        "{new}:{old}",
        "a name:{new}",
        "new:{new}{old}",
        "new:{short}",
        "new:{new},new:{old}",
        "new:{new},old:{new}",
        "new:!{new}",
        "ñ:{new}",
        "new:ñ{short}",
        " ",
    ],
)
def test_keys_that_are_written_wrongly_are_numbered_and_not_repeated(wrong: str) -> None:
    given = {"new": text_of(NEW), "old": text_of(OLD), "short": text_of(NEW[:31])}
    with pytest.raises(ValueError, match=r"number [12] (has|is)") as caught:
        Keyring.parse(wrong.format(**given))
    assert not [part for part in given.values() if part[:8] in repr(caught.value)]
    assert caught.value.__cause__ is None


def test_a_keyring_needs_a_key() -> None:
    with pytest.raises(ValueError, match="needs a key"):
        Keyring({})


def test_a_keyring_shows_its_names_alone() -> None:
    keys = Keyring.parse(f"new:{text_of(NEW)},old:{text_of(OLD)}")
    assert repr(keys) == str(keys) == "Keyring(new, old)"
    for shown in (repr(Codec(keys)), repr(vars(Codec(keys)))):
        assert not [part for part in (text_of(NEW)[:8], NEW.hex()[:8], repr(NEW)[2:12]) if part in shown]


def without_zstandard(statements: str, *arguments: bytes) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ZSTANDARD + statements, *(argument.hex() for argument in arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_without_zstandard_values_are_stored_as_they_are() -> None:
    printed = without_zstandard(
        "sealed = codec.seal(long, b''); assert codec.open(sealed, b'', codec.make_ref(long)) == long; "
        "print(sealed.hex())"
    )
    sealed = bytes.fromhex(printed)
    assert PLAIN.open(sealed, b"", PLAIN.make_ref(LONG)) == LONG
    assert sealed[:1] == b"0"


def test_without_zstandard_a_value_by_it_says_what_to_install() -> None:
    said = without_zstandard(
        """
try:
    codec.open(bytes.fromhex(sys.argv[1]), b"")
except UnreadableValue as exc:
    print(exc)
""",
        PLAIN.seal(LONG, b""),
    )
    assert "install the package zstandard" in said


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff\xff", PLAIN.seal(LONG, b"")[2:-3], zstandard.compress(LONG.data)[:-1]],
    ids=["nothing", "foreign", "cut", "cut, of another dictionary"],
)
def test_a_broken_compressed_value_is_an_error_of_ours(payload: bytes) -> None:
    with pytest.raises(UnreadableValue, match="compressed value"):
        PLAIN.open(b"4m" + payload, b"")


def test_a_small_payload_does_not_become_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.checkpointer.codec.MAX_VALUE_BYTES", 1_000_000)
    assert len(PLAIN.open(b"4m" + zstandard.compress(bytes(1_000_000)), b"").data) == 1_000_000
    with pytest.raises(UnreadableValue, match="absurd size"):
        PLAIN.open(b"4m" + zstandard.compress(bytes(1_000_001)), b"")
