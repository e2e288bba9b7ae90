"""A bot: how one of a tenant's assistants answers. A bot is data; one graph serves all of them."""

from dataclasses import dataclass
from typing import Protocol

from agents.verification.verdict import Policy
from auth.principal import DEFAULT_BOT, Principal
from retrieval.index import ALL, Filters


@dataclass(frozen=True, slots=True)
class BotConfig:
    """How a bot answers, resolved once at the start of a run.

    `version` grows by one with each change, and is 0 as long as nothing but the settings says how it answers; a run
    that is resumed goes on with its own. `institution`: whose documents it answers from. `instructions`: what its
    language model is told beside the rules. `dataset_ids`: what it searches, empty for all of the tenant's.
    `top_k`: passages that quotes are chosen from; a language model is shown up to `model_top_k`. `model_id`, in
    `model_version`: its language model; "" is the service's own. `unsupported_sentences`: what becomes of sentences
    without support.
    `tools`: names of those it may use beside its search; `approvals`: those of them that wait for the person's word.
    `allowed_origins`: websites whose visitors may ask it; empty: none.
    """

    bot_id: str = DEFAULT_BOT
    version: int = 0
    institution: str = ""
    language_policy: str = ""
    instructions: str = ""
    dataset_ids: tuple[str, ...] = ()
    top_k: int = 6
    model_top_k: int = 12
    model_id: str = ""
    model_version: int = 0
    unsupported_sentences: Policy = "mark"
    tools: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()

    @property
    def filters(self) -> Filters:
        """What its searches are limited to."""
        return Filters(dataset_ids=self.dataset_ids) if self.dataset_ids else ALL

    def count_further(self, *, is_language_model: bool) -> int:
        """How many passages more than `top_k` are shown: a language model finds an answer among many, quotes do not."""
        return max(0, self.model_top_k - self.top_k) if is_language_model else 0

    @property
    def key(self) -> str:
        """Names it in its version, and its model in its own, within its tenant."""
        return f"{self.bot_id}@{self.version}/{self.model_id}@{self.model_version}"


class BotDirectory(Protocol):
    """Knows the bots of every tenant."""

    async def get(self, ctx: Principal, version: int | None = None, model_version: int = 0) -> BotConfig:
        """The bot that *ctx* talks to, as it is now, or in the versions which a run has begun with.

        Raises:
            NotFound: the tenant has no such bot.
            Conflict: it is switched off.
            NotReady: its model is not there.
            StoreUnavailable: it cannot be known now.
        """
