"""Who is asked when questions are measured: a running service, or the stores and models of this installation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from agents.state import AnswerModel
from auth.principal import Principal
from bootstrap.bots import make_default_bot
from bootstrap.index_opener import IndexOpener
from bootstrap.models import open_answer_model, open_embedder, open_reranker
from bootstrap.stores import open_records
from config import Settings
from domain.in_thread import read
from domain.indexes import find_serving_index, make_first_row
from evaluation.asking import Asker, HttpAsker, LocalAsker
from evaluation.cases import QuestionSet
from evaluation.corpora import index_corpus
from retrieval.index import PassageIndex
from retrieval.search import Retriever
from utils.errors import BadInput, StoreUnavailable
from utils.observers import ModelObservers
from utils.ports import Embedder, Reranker
from utils.private_files import ensure_private_folder
from utils.processes import StartError

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Service:
    """A running service and the key it is asked with."""

    url: str
    key: SecretStr


class Askers:
    """Whom each set is put to. Models and the index are opened once, when they are first needed."""

    def __init__(
        self, stack: AsyncExitStack, settings: Settings, ctx: Principal, service: Service | None, *, answers: bool
    ) -> None:
        self._stack, self._settings, self._ctx, self._service, self._answers = stack, settings, ctx, service, answers
        self._models: tuple[Embedder, Reranker | None, AnswerModel | None] | None = None
        self._retriever: Retriever | None = None

    @asynccontextmanager
    async def open_for_set(self, questions: QuestionSet, progress: Progress) -> AsyncIterator[Asker]:
        """The asker for *questions*; *progress* hears of passages of a set's own that got their vectors.

        Raises:
            BadInput: the set brings its documents, which a running service does not have.
            StoreUnavailable: the index or the embedding model cannot be opened.
        """
        if self._service is not None:
            if questions.corpus:
                raise BadInput(f"{questions.name} contains its own documents: measure it without --url.")
            yield await self._open_http_asker(self._service)
            return
        embedder, reranker, model = await self._open_models()
        if questions.corpus:
            async with index_corpus(questions, self._ctx, embedder, reranker, progress=progress) as retriever:
                yield self._open_local_asker(retriever, model)
            return
        if self._retriever is None:
            self._retriever = await self._open_serving(embedder, reranker)
        yield self._open_local_asker(self._retriever, model)

    async def _open_http_asker(self, service: Service) -> Asker:
        headers = {"Authorization": f"Bearer {service.key.get_secret_value()}"}
        client = await self._stack.enter_async_context(httpx.AsyncClient(base_url=service.url, headers=headers))
        return HttpAsker(client, self._answers)

    def _open_local_asker(self, retriever: Retriever, model: AnswerModel | None) -> Asker:
        return LocalAsker(retriever, self._ctx, model, make_default_bot(self._settings))

    async def _open_models(self) -> tuple[Embedder, Reranker | None, AnswerModel | None]:
        if self._models is None:
            try:
                embedder = await open_embedder(self._stack, self._settings)
            except StartError as exc:
                raise StoreUnavailable(str(exc)) from exc
            model = None
            if self._answers:
                model = await open_answer_model(self._stack, self._settings, embedder, ModelObservers())
            self._models = embedder, open_reranker(self._stack, self._settings), model
        return self._models

    async def _open_serving(self, embedder: Embedder, reranker: Reranker | None) -> Retriever:
        """What searches the index that serves, with the model its vectors are of."""

        async def make(
            stack: AsyncExitStack, *, number: int, embedder: Embedder, cached: Embedder, index: PassageIndex
        ) -> Retriever:
            return Retriever(cached, index, reranker=reranker)

        folder = await asyncio.to_thread(ensure_private_folder, self._settings.data_dir, variable="DATA_DIR")
        opener = IndexOpener(self._settings, folder, embedder, embedder, make)
        self._stack.push_async_callback(opener.close_all)
        try:
            database = await open_records(self._stack, self._settings)
            row = await read(database, find_serving_index)
            return (await opener.open(row or make_first_row(opener.target))).retriever
        except (StartError, StoreUnavailable) as exc:
            reason = exc.detail if isinstance(exc, StoreUnavailable) else str(exc)
            raise StoreUnavailable(f"{reason} While the service runs, ask it: --url and --key.") from exc
