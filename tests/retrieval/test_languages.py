"""How long it is remembered in which languages a tenant has passages."""

from auth.principal import Principal
from retrieval.languages import KEPT_S, Languages
from tests.retrieval.corpus import ACME, GLOBEX


class Server:
    """Says which languages there are, and counts how often it is asked; its clock stands still unless it is put on."""

    def __init__(self) -> None:
        self.spoken = {ACME.tenant_id: ["en"], GLOBEX.tenant_id: ["id", "es"]}
        self.asked = list[str]()
        self.now_s = 0.0
        self.languages = Languages(self.ask, clock=lambda: self.now_s)

    async def ask(self, ctx: Principal) -> list[str]:
        self.asked.append(ctx.tenant_id)
        return list(self.spoken.get(ctx.tenant_id, []))


async def test_each_tenant_is_asked_about_once_until_it_is_too_long_ago() -> None:
    server = Server()
    for _ in range(3):
        assert (await server.languages.find(ACME), await server.languages.find(GLOBEX)) == (["en"], ["id", "es"])
    assert server.asked == ["acme", "globex"]
    server.spoken["acme"] = ["en", "id"]
    server.now_s = KEPT_S
    assert (await server.languages.find(ACME), await server.languages.find(GLOBEX)) == (["en", "id"], ["id", "es"])


async def test_what_this_process_writes_is_known_at_once_and_of_that_tenant_alone() -> None:
    server = Server()
    await server.languages.find(ACME)
    await server.languages.find(GLOBEX)
    server.spoken = {"acme": ["es"], "globex": ["es"]}
    server.languages.refresh(ACME)
    assert (await server.languages.find(ACME), await server.languages.find(GLOBEX)) == (["es"], ["id", "es"])


async def test_what_was_counted_while_passages_were_written_is_not_remembered() -> None:
    server = Server()

    async def overtaken(ctx: Principal) -> list[str]:
        found = await server.ask(ctx)
        if len(server.asked) == 1:
            server.spoken["acme"] = ["en", "id"]
            languages.refresh(ctx)
        return found

    languages = Languages(overtaken)
    assert await languages.find(ACME) == ["en"]
    assert await languages.find(ACME) == ["en", "id"]
    assert await languages.find(GLOBEX) == ["id", "es"]


async def test_that_a_tenant_has_none_is_asked_anew_each_time() -> None:
    server = Server()
    server.spoken = {}
    for tenant in (ACME, GLOBEX):
        assert await server.languages.find(tenant) == []
    server.spoken = {"acme": ["en"]}
    assert (await server.languages.find(ACME), await server.languages.find(GLOBEX)) == (["en"], [])
