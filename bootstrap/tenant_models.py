"""Opens the models of tenants, as the database says how each is reached, and looks whether they answer."""

import asyncio
import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from ipaddress import ip_network
from types import ModuleType

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from pydantic import SecretStr

from agents.state import AnswerModel
from auth.principal import Principal
from bootstrap.model_registry import ModelKey, OpenModel
from config import Settings
from domain.chat_models import Provider, StoredModel, get_model
from domain.db import Database
from domain.in_thread import wait_for_answer
from domain.model_keys import decrypt_key, hide_key
from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.retries import CallLimits
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.circuit import Circuit
from utils.errors import Conflict, NotFound, NotReady, ProviderError
from utils.expiring import Expiring
from utils.outbound import Guard
from utils.ports import ModelObserver
from utils.reach import Reach

MODELS_EXTRA = "requirements-models.txt"
_PACKAGES: dict[Provider, str] = {"anthropic": "langchain_anthropic", "google": "langchain_google_genai"}
_FORMATS: dict[Provider, str] = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google"}
_MODULES: dict[Provider, str] = {name: f"providers.chat.{name}" for name in ("openai", "anthropic", "google")}
_MAX_KNOWN, _KNOWN_S = 10_000, 86_400.0
_CHECK_LIMIT_S = 30.0
_LONGEST_WORD = 80  # characters of an answer that are shown
_FAILURES = 3  # in a row, and the endpoint counts as away
_NO_KEY = "none"  # without one, clients would take the operator's from the environment


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """How a model was asked for one word: `answer` is its beginning, `detail` is why there is none."""

    model_id: str
    version: int
    duration_ms: float
    answer: str = ""
    detail: str = ""


def make_reach(settings: Settings) -> Reach:
    """Where models of tenants may be: public addresses, and those of MODEL_NETWORKS."""
    return Reach(tuple(map(ip_network, settings.model_networks)), ports=None)


def check_provider(provider: Provider) -> None:
    """Return if models of the provider can be asked.

    Raises:
        Conflict: its package is missing.
    """
    if provider in _PACKAGES and find_spec(_PACKAGES[provider]) is None:
        raise Conflict(_describe_missing(provider))


class TenantModels:
    """Opens models of tenants.

    Args:
        keys: what their API keys are encrypted under.
        quotes: answers where one of them fails; None: nobody does.
        observer: hears of their calls.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keys: Keyring | None,
        *,
        quotes: BaseChatModel | None = None,
        observer: ModelObserver | None = None,
    ) -> None:
        self._settings, self._database, self._keys = settings, database, keys
        self._quotes, self._observer = quotes, observer
        # Its own: a database that hangs must not take the threads of others.
        self._reader = ThreadPoolExecutor(1, "tenant-models")
        self._cache: Expiring[ModelKey, StoredModel] = Expiring(_MAX_KNOWN, _KNOWN_S)
        self._guard: asyncio.Task[Guard] | None = None

    def close(self) -> None:
        """Let the thread end."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def open(self, ctx: Principal, key: ModelKey) -> OpenModel:
        """The model in its version, to answer with.

        Raises:
            NotReady: it is not there, or cannot be used; the text says why.
            StoreUnavailable: the database does not say how it is reached.
        """
        stored = self._cache.get(key)
        if stored is None:
            try:
                stored = await self._read(ctx, key.model_id, key.version)
            except NotFound as exc:
                raise NotReady(f"The model {key.model_id!r} is not there any more. Ask again.") from exc
            self._cache.put(key, stored)
        timeout_s = stored.spec.parameters.timeout_s or self._settings.llm_timeout
        return await self._open(stored, CallLimits(timeout_s=timeout_s, max_retries=self._settings.llm_max_retries))

    async def check(self, ctx: Principal, model_id: str) -> ModelCheck:
        """Ask the model for one word.

        Raises:
            NotFound: the tenant has none of this id.
            NotReady: it cannot be used; the text says why.
            StoreUnavailable: the database does not say how it is reached.
        """
        stored = await self._read(ctx, model_id)
        timeout_s = min(_CHECK_LIMIT_S, stored.spec.parameters.timeout_s or self._settings.llm_timeout)
        opened = await self._open(stored, CallLimits(timeout_s=timeout_s, max_retries=0))
        hide = partial(hide_key, api_key=decrypt_key(stored.version, self._keys))
        checked, began_s = ModelCheck(model_id, stored.version.version, 0), time.perf_counter()
        try:
            reply = await opened.model.chat.ainvoke([HumanMessage("Reply with the one word: ready")])
            checked = replace(checked, answer=hide(reply.text).strip()[:_LONGEST_WORD])
        except ProviderError as exc:
            checked = replace(checked, detail=hide(exc.detail))
        finally:
            await opened.aclose()
        return replace(checked, duration_ms=round((time.perf_counter() - began_s) * 1000, 1))

    async def _read(self, ctx: Principal, model_id: str, version: int | None = None) -> StoredModel:
        def read() -> StoredModel:
            with self._database.open_read_session() as session:
                stored = get_model(session, ctx, model_id, version)
                session.expunge_all()
                return stored

        return await wait_for_answer(asyncio.get_running_loop().run_in_executor(self._reader, read))

    async def _open(self, stored: StoredModel, limits: CallLimits) -> OpenModel:
        spec, model_id = stored.spec, stored.row.model_id
        api_key = decrypt_key(stored.version, self._keys)
        name = f"model {model_id!r}"
        named = f"The {name} of the tenant {stored.row.tenant_id!r}"
        try:
            # In a thread: the packages of a vendor take a second of a process that has other things to do.
            module = await asyncio.to_thread(_import_for_good, _MODULES[spec.provider])
        except ImportError as exc:
            raise NotReady(_describe_missing(spec.provider)) from exc
        chat = await module.open_chat_model(
            base_url=spec.base_url,
            api_key=SecretStr(api_key or _NO_KEY),
            model=spec.model,
            temperature=spec.parameters.temperature,
            max_tokens=spec.parameters.max_tokens,
            limits=limits,
            gate=Gate(
                self._settings.openai_max_concurrent,
                wait_s=self._settings.model_queue_timeout,
                name=name,
                observer=self._observer,
            ),
            circuit=Circuit(
                retry_s=self._settings.llm_retry_after,
                threshold=_FAILURES,
                away=f"{named} does not answer: answers are quotes from the documents",
                back=f"{named} answers again",
            ),
            side=EndpointInfo(name, "", spec.model, _FORMATS[spec.provider]),
            guard=await self._get_guard(),
        )
        model = AnswerModel(chat, is_language_model=True, quotes=self._quotes, circuit=chat.circuit)
        return OpenModel(model, chat.aclose)

    async def _get_guard(self) -> Guard:
        if self._guard is None:
            self._guard = asyncio.create_task(asyncio.to_thread(Guard.load, make_reach(self._settings)))
        return await asyncio.shield(self._guard)


def _import_for_good(name: str) -> ModuleType:
    if name not in sys.modules:
        gc.disable()  # a collection among so many new objects would hold the event loop for half a second
        try:
            import_module(name)
            gc.freeze()
        finally:
            gc.enable()
    return sys.modules[name]


def _describe_missing(provider: Provider) -> str:
    return (
        f"Models of {provider!r} need packages that are not installed: the operator installs them with "
        f"pip install -r {MODELS_EXTRA}."
    )
