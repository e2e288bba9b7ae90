"""Files that people attach to a conversation: for its own questions alone, and deleted with it.

They are kept in the folder of the conversation, not among the documents, and in no index. So nothing finds them but a
turn of this conversation, which asks for them by its id: neither a search, nor a list of documents, nor another one.
"""

import asyncio
import logging
import uuid
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import orjson

from agents.artifacts import find_folder
from agents.threads import make_thread_id
from auth.principal import Principal
from domain.documents import DocumentContent
from domain.models import now
from providers.files.results import ATTACHED, ConversationFolder, ResultFiles
from retrieval.attached import NOTHING_ATTACHED, AttachedPassages
from retrieval.lexical import make_embedding_text
from retrieval.search import Retriever
from utils.errors import Conflict, NotFound, ProblemError, TooLarge
from utils.passages import Passage
from utils.ports import FloatArray
from utils.slices import cut_into_slices

MAX_PASSAGES = 300  # of a file: some 60 pages of text
_EMBEDDED_AT_ONCE = 8  # between two of them others get their turn
_EMBEDDED_FOR_S = 10.0  # is waited for: most questions that come with a file are about it
logger = logging.getLogger(__name__)
_NO_FILES = "Files cannot be attached to conversations here: the operator has not turned it on (CONVERSATION_FILES)."


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file of a conversation; `note` says what was not read of it."""

    file_id: str
    name: str
    media_type: str
    size_bytes: int
    page_count: int | None
    note: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ParsedAttachment:
    """What was read of a file that is to be attached."""

    content: DocumentContent
    note: str | None


class AttachedFiles:
    """Keeps at most *most* files for each conversation, none if that is 0.

    Args:
        retriever: gives what searches the index that serves now, whose model the vectors are made with.
        find_deletion: what names the last deletion of a conversation; None where it was not deleted lately.
    """

    def __init__(
        self,
        files: ResultFiles,
        retriever: Callable[[], Retriever],
        find_deletion: Callable[[str], Awaitable[bytes | None]],
        *,
        most: int,
    ) -> None:
        self._files, self._retriever, self._find_deletion, self._most = files, retriever, find_deletion, most
        self._embedding = set[asyncio.Task[None]]()

    async def aclose(self) -> None:
        """Stop making vectors."""
        for task in self._embedding:
            task.cancel()
        await asyncio.gather(*self._embedding, return_exceptions=True)

    def require(self) -> None:
        """Return where files can be attached.

        Raises:
            Conflict: they cannot.
        """
        if not self._most:
            raise Conflict(_NO_FILES)

    async def add(
        self, ctx: Principal, conversation_id: str, read: Callable[[], Awaitable[ParsedAttachment]]
    ) -> AttachedFile:
        """Keep what *read* gives of a file for the caller's conversation, which may be yet to begin.

        It is found by its words from then on, and by meaning as its vectors come: those of a short one are waited for.

        Raises:
            Conflict: it has as many files as it may, or was deleted meanwhile.
            TooLarge: there is too much text in it.
            NotEnoughSpace, StoreUnavailable, NotReady: not now; and what *read* raises.
        """
        thread_id = make_thread_id(ctx, conversation_id)
        if len(await self.list_own(ctx, conversation_id)) >= self._most:
            raise Conflict(f"A conversation has at most {self._most} files: delete one first.")
        deletion = await self._find_deletion(thread_id)
        attachment = await read()
        file, passages = _describe(attachment), _cut(attachment.content)
        if len(passages) > MAX_PASSAGES:
            raise TooLarge("There is too much text in it to be attached to a conversation: send a part of it.")
        passages = [replace(passage, document_id=file.file_id, source=file.name) for passage in passages]
        folder = find_folder(thread_id)
        data = await asyncio.to_thread(_encode, file, AttachedPassages(passages))
        await asyncio.to_thread(self._files.attach, folder, _make_name(file.file_id), data, most=self._most)
        if await self._find_deletion(thread_id) != deletion:
            await asyncio.to_thread(self._files.delete, folder)
            raise Conflict("The conversation was deleted meanwhile.")
        embedding = asyncio.get_running_loop().create_task(self._add_vectors(folder, file, passages))
        self._embedding.add(embedding)
        embedding.add_done_callback(self._embedding.discard)
        await asyncio.wait({embedding}, timeout=_EMBEDDED_FOR_S)
        return file

    async def list_own(self, ctx: Principal, conversation_id: str) -> list[AttachedFile]:
        """The files of the caller's conversation, oldest first; none where there is no such conversation.

        Without those that cannot be decrypted any more.
        """
        if not self._most:
            return []
        folder = find_folder(make_thread_id(ctx, conversation_id))
        return await asyncio.to_thread(lambda: list(map(_decode_file, self._read(folder, is_lenient=True))))

    async def find(self, ctx: Principal, conversation_id: str, file_id: str) -> AttachedFile:
        """A file of the caller's conversation.

        Raises:
            NotFound: there is none of this id.
        """
        for file in await self.list_own(ctx, conversation_id):
            if file.file_id == file_id:
                return file
        raise NotFound("This conversation has no such file.")

    async def remove(self, ctx: Principal, conversation_id: str, file_id: str) -> None:
        """Delete a file of the caller's conversation.

        Raises:
            NotFound: there is none of this id.
        """
        folder = find_folder(make_thread_id(ctx, conversation_id))
        # Also one that cannot be read any more, which `find` would not find.
        await asyncio.to_thread(self._files.detach, folder, _make_name(_check_id(file_id)))

    async def load(self, thread_id: str) -> AttachedPassages:
        """What a question of this conversation is searched in beside the documents; the files count as used.

        Raises:
            NotReady, StoreUnavailable: they cannot be read.
        """
        if not self._most:
            return NOTHING_ATTACHED
        return await asyncio.to_thread(self._load, thread_id)

    def _load(self, thread_id: str) -> AttachedPassages:
        folder = find_folder(thread_id)
        parts = list(map(_decode_passages, self._read(folder)))
        if not parts:
            return NOTHING_ATTACHED
        self._files.touch(folder)
        return reduce(_join, parts)

    def _read(self, folder: ConversationFolder, *, is_lenient: bool = False) -> Iterator[dict[str, Any]]:
        return map(orjson.loads, self._files.read_attached(folder, is_lenient=is_lenient))

    async def _add_vectors(self, folder: ConversationFolder, file: AttachedFile, passages: Sequence[Passage]) -> None:
        """Keep the vectors of *passages*, some at a time; where that fails, they are found by their words alone."""
        embedder, vectors = self._retriever().embedder, list[FloatArray]()
        texts, ids = [make_embedding_text(passage) for passage in passages], [each.passage_id for each in passages]
        try:
            for batch in cut_into_slices(texts, _EMBEDDED_AT_ONCE):
                # Somebody waits for the first ones; the others take turns with documents.
                vectors.extend(await embedder.embed_passages(batch, urgent=not vectors))
                attached = AttachedPassages(passages, dict(zip(ids, vectors, strict=False)), embedder.model)
                data = await asyncio.to_thread(_encode, file, attached)
                await asyncio.to_thread(self._files.update_attached, folder, _make_name(file.file_id), data)
        except NotFound:
            return  # it was deleted meanwhile
        except ProblemError as exc:
            logger.warning("An attached file is found by its words alone: %s", exc.detail)


def _check_id(file_id: str) -> str:
    """Raises NotFound where it is none of ours: it becomes a part of a path."""
    try:
        return str(uuid.UUID(file_id))
    except ValueError:
        raise NotFound("This conversation has no such file.") from None


def _make_name(file_id: str) -> str:
    return f"{file_id}{ATTACHED}"


def _describe(attachment: ParsedAttachment) -> AttachedFile:
    content = attachment.content
    facts = content.file_name, content.media_type, content.size_bytes, content.pages
    return AttachedFile(str(uuid.uuid4()), *facts, attachment.note, now())


def _cut(content: DocumentContent) -> list[Passage]:
    """Without a version: nothing of it is kept that a link could open."""
    return [
        Passage(
            passage_id=str(uuid.uuid4()),
            document_id="",
            title=content.title,
            source="",
            url=None,
            page=chunk.page,
            heading=chunk.heading,
            start=chunk.start,
            end=chunk.end,
            language=chunk.language,
            text=chunk.text,
        )
        for chunk in content.chunks
    ]


def _encode(file: AttachedFile, attached: AttachedPassages) -> bytes:
    vectors = np.array(list(attached.vectors.values()))  # of the first passages, in their order
    return orjson.dumps(
        {
            "file": asdict(file),
            "passages": [asdict(passage) for passage in attached.passages],
            "model": attached.model,
            "vector_count": len(attached.vectors),
            "vectors": b64encode(vectors.astype(np.float16).tobytes()).decode(),
        }
    )


def _decode_file(data: dict[str, Any]) -> AttachedFile:
    fields = data["file"]
    return AttachedFile(**{**fields, "created_at": datetime.fromisoformat(fields["created_at"])})


def _decode_passages(data: dict[str, Any]) -> AttachedPassages:
    passages = [Passage(**{**each, "labels": (), "seams": ()}) for each in data["passages"]]
    if not data["vectors"]:
        return AttachedPassages(passages)
    numbers = np.frombuffer(b64decode(data["vectors"]), np.float16).astype(np.float32)
    vectors = numbers.reshape(data["vector_count"], -1)
    ids = [passage.passage_id for passage in passages]
    return AttachedPassages(passages, dict(zip(ids, vectors, strict=False)), data["model"])


def _join(one: AttachedPassages, other: AttachedPassages) -> AttachedPassages:
    """Both; with the vectors of those alone that were made with the newer one's model, if that has any yet."""
    model = other.model or one.model
    vectors = {**(one.vectors if one.model == model else {}), **other.vectors}
    return AttachedPassages([*one.passages, *other.passages], vectors, model)
