"""The models that are open: as many as fit, each opened once, none closed under a turn."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from langchain_core.language_models import FakeListChatModel

from agents.bots import BotConfig
from agents.state import AnswerModel
from auth.operators import make_operator
from auth.principal import Principal
from bootstrap.model_registry import ModelKey, ModelRegistry, OpenModel
from utils.errors import NotReady

ACME, GLOBEX = make_operator("acme"), make_operator("globex")


def make_model() -> AnswerModel:
    return AnswerModel(FakeListChatModel(responses=["x"]), is_language_model=True)


def bot(model_id: str, version: int = 1) -> BotConfig:
    return BotConfig(model_id=model_id, model_version=version)


class Opener:
    """Opens models, slowly where `gate` is closed, and knows which are open."""

    def __init__(self) -> None:
        self.opened: list[ModelKey] = []
        self.open_now: set[ModelKey] = set()
        self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def open(self, ctx: Principal, key: ModelKey) -> OpenModel:
        self.opened.append(key)
        await self.gate.wait()
        if self.fails:
            raise NotReady("Not now.")
        self.open_now.add(key)
        self.most = max(self.most, len(self.open_now))

        async def close() -> None:
            self.open_now.discard(key)

        return OpenModel(make_model(), close)


@pytest.fixture
async def opener() -> Opener:
    return Opener()


async def test_hundreds_of_models_one_after_another_keep_to_the_bound(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open, size=8)
    for number in range(300):
        async with registry.hold((ACME, GLOBEX)[number % 2], bot(f"m{number}")):
            assert len(registry) <= 9
    await asyncio.sleep(0)
    assert len(registry) == 8
    assert opener.most <= 10  # those that are just being closed among them
    async with registry.hold(GLOBEX, bot("m299")):
        pass
    assert len(opener.opened) == 300, "one that is open was opened anew"
    await registry.aclose()
    assert not opener.open_now


async def test_what_turns_are_using_stays_open_beyond_the_bound(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open, size=2)
    async with AsyncExitStack() as turns:
        for number in range(5):
            await turns.enter_async_context(registry.hold(ACME, bot(f"m{number}")))
        assert len(opener.open_now) == 5
    await asyncio.sleep(0)
    assert len(opener.open_now) == 2


async def test_tenants_have_models_of_their_own_and_no_model_is_the_services(opener: Opener) -> None:
    own = make_model()
    registry = ModelRegistry(own, opener.open)
    async with registry.hold(ACME, bot("m")) as one, registry.hold(GLOBEX, bot("m")) as other:
        assert one is not other
        assert own is not one
        assert own is not other
    async with registry.hold(ACME, bot("")) as none:
        assert none is own
    assert len(opener.opened) == 2


async def test_a_crowd_opens_a_model_once_and_others_do_not_wait_for_it(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open)
    async with registry.hold(ACME, bot("open")):
        pass
    opener.gate.clear()

    async def take() -> AnswerModel:
        async with registry.hold(ACME, bot("slow")) as model:
            return model

    crowd = [asyncio.create_task(take()) for _ in range(20)]
    await asyncio.sleep(0)
    crowd[0].cancel()  # whoever leaves does not end it for the others
    async with registry.hold(ACME, bot("open")):
        pass
    opener.gate.set()
    found = await asyncio.gather(*crowd[1:])
    assert len({id(model) for model in found}) == 1
    assert [key.model_id for key in opener.opened] == ["open", "slow"]


async def test_a_former_version_is_closed_after_its_last_turn(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open)
    async with registry.hold(ACME, bot("m", 1)):
        async with registry.hold(ACME, bot("m", 2)):
            assert {key.version for key in opener.open_now} == {1, 2}
        async with registry.hold(ACME, bot("m", 1)):  # a run that is resumed
            pass
        assert {key.version for key in opener.open_now} == {1, 2}
    await asyncio.sleep(0)
    assert {key.version for key in opener.open_now} == {2}
    async with registry.hold(ACME, bot("m", 1)):
        pass
    await asyncio.sleep(0)
    assert {key.version for key in opener.open_now} == {2}


async def test_one_that_cannot_be_opened_is_tried_again(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open)
    opener.fails = True
    for _ in range(2):
        with pytest.raises(NotReady):
            async with registry.hold(ACME, bot("m")):
                raise AssertionError("it is not open")
    assert len(registry) == 0
    opener.fails = False
    async with registry.hold(ACME, bot("m")):
        pass
    assert len(opener.opened) == 3


async def test_a_turn_that_fails_or_is_cancelled_lets_go_of_its_model(opener: Opener) -> None:
    registry = ModelRegistry(make_model(), opener.open, size=0)
    with suppress(ValueError):
        async with registry.hold(ACME, bot("m")):
            raise ValueError

    async def wait() -> None:
        async with registry.hold(ACME, bot("n")):
            await asyncio.Event().wait()

    turn = asyncio.create_task(wait())
    while not opener.open_now:
        await asyncio.sleep(0)
    turn.cancel()
    with suppress(asyncio.CancelledError):
        await turn
    await asyncio.sleep(0)
    assert not opener.open_now
