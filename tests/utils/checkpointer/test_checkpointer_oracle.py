"""The saver against LangGraph's in-memory saver: any sequence of operations must give the same answers."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.examples import count_examples
from tests.servers.cutting import CuttingProxy
from tests.utils.checkpointer.machine import CheckpointerMachine
from utils.checkpointer import RedisCheckpointer, values
from utils.checkpointer.codec import Codec

USUAL = settings(stateful_step_count=30, suppress_health_check=list(HealthCheck))


@pytest.fixture
def proxy(valkey: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CuttingProxy]:
    """What can be cut, before the embedded server."""
    path = tmp_path_factory.mktemp("cut") / "p.sock"
    with CuttingProxy(path, Path(valkey.url.removeprefix("unix://"))) as running:
        yield running


@pytest.mark.timeout(7200 if count_examples(40) > 100 else 300)
def test_any_sequence_of_operations_answers_as_the_in_memory_saver_does(proxy: CuttingProxy, valkey: Any) -> None:
    run_state_machine_as_test(
        lambda: CheckpointerMachine(proxy, valkey.url), settings=settings(USUAL, max_examples=count_examples(40))
    )


# ---- that it would find a bug if there were one


def lua(name: str, text: str, instead: str) -> Callable[[pytest.MonkeyPatch], None]:
    """A bug in a script: *instead* stands where *text* should."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        script = Path(str(files("utils.checkpointer"))) / "lua" / f"{name}.lua"
        right = Path.read_text
        assert text in right(script), f"{name}.lua has changed: plant this bug in another way"

        def read(path: Path, *args: Any, **kwargs: Any) -> str:
            source = right(path, *args, **kwargs)
            return source.replace(text, instead) if path.name == script.name else source

        monkeypatch.setattr(Path, "read_text", read)

    return plant


def loses_an_item_of_a_full_page(monkeypatch: pytest.MonkeyPatch) -> None:
    right = values.fold
    monkeypatch.setattr(values, "fold", lambda items, name: right(items[:-1] if len(items) == 16 else items, name))


def shares_what_it_has_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Codec.load

    def load(codec: Codec, serde: Any, plain: Any) -> Any:
        decoded = vars(codec).setdefault("decoded", {})
        if plain not in decoded:
            decoded[plain] = right(codec, serde, plain)
        return decoded[plain]

    monkeypatch.setattr(Codec, "load", load)


def copies_in_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    right = RedisCheckpointer.acopy_thread

    async def copy(saver: RedisCheckpointer, source_id: str, target_id: str) -> None:
        await saver.adelete_thread(target_id)
        await right(saver, source_id, target_id)

    monkeypatch.setattr(RedisCheckpointer, "acopy_thread", copy)


PLANTED = {
    "an item of a full page is lost": loses_an_item_of_a_full_page,
    "what was read is shared between readers": shares_what_it_has_decoded,
    "a copy can happen by half": copies_in_two_steps,
    "the head moves back": lua("put", "if not newest or not later(newest, id) or", "if true or"),
    "sent pages are not checked": lua(
        "common", "if is_page(ARGV[i]) then each_ref(ARGV[i + 1], need) end", "local unchecked = true"
    ),
    "one of the keys has no end": lua("common", "redis.call('PEXPIRE', STATE, ttl_ms)", ""),
    "the log of writes is turned around": lua("writes", "log .. frame)", "frame .. log)"),
    "a repeated checkpoint counts twice": lua("put", "if set(name, record) then", "if set(name, record) or true then"),
    "a copy keeps what was in its place": lua("restore", "redis.call('DEL', STATE)", ""),
    "before includes the checkpoint itself": lua("list", "not newer(until_id, entry)", "newer(entry, until_id)"),
}


@pytest.mark.long
@pytest.mark.parametrize("bug", PLANTED)
def test_the_oracle_finds_a_bug_that_is_planted(
    bug: str, proxy: CuttingProxy, valkey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLANTED[bug](monkeypatch)
    bounded = settings(
        USUAL, max_examples=count_examples(300), derandomize=True, database=None, phases=[Phase.generate]
    )
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(lambda: CheckpointerMachine(proxy, valkey.url), settings=bounded)
    assert "state.teardown()" in "".join(found.value.__notes__)  # the steps that lead there
