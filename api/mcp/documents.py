"""Documents as the Model Context Protocol gives them: their text a part at a time, and as resources."""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.paging import PageQuery, make_cursor, read_part_query
from api.services import services
from auth.principal import Principal
from domain.document_files import find_version
from domain.documents import get_document
from domain.in_thread import read
from domain.models import Document, DocumentVersion
from domain.progress import list_progress
from utils.errors import NotFound
from utils.moments import format_moment
from utils.validation import refuse_field

LONGEST_TEXT = 50_000  # characters that are given at once: what a model can take in one go
LONGEST_ID, LARGEST_OFFSET = 36, 2**31 - 1
URI_TEMPLATE = "pustaka://documents/{id}{?offset}"
_URI = re.compile(rf"pustaka://documents/([A-Za-z0-9-]{{1,{LONGEST_ID}}})(?:\?offset=([0-9]{{1,9}}))?", re.ASCII)


class DocumentDetails(BaseModel):
    """What is known of a document, and which part of its text this is."""

    source: str = Field(description="The file or the address that it came from.")
    media_type: str
    language: str
    version: int
    updated_at: str
    length: int = Field(description="Characters of the whole text.")
    offset: int = Field(description="Where in it this text begins.")
    next_offset: int | None = Field(description="What to fetch with `offset` next; null at the end.")


class DocumentText(BaseModel):
    """A document's text, or a part of it."""

    id: str
    title: str
    text: str
    url: str = Field(description="To be cited; opens the document in a browser for a while, where links may.")
    metadata: DocumentDetails


def make_uri(document_id: str, offset: int = 0) -> str:
    """The address of a document as a resource."""
    return f"pustaka://documents/{document_id}" + (f"?offset={offset}" if offset else "")


async def read_document(ctx: Principal, document_id: str, offset: int = 0) -> DocumentText:
    """The text of the newest version of a document, from *offset* on.

    Raises:
        NotFound: the tenant has no such document, or its text is not kept.
        BadInput: the text is shorter.
        Overloaded: too many texts are being read.
    """

    def look_up(session: Session) -> tuple[Document, DocumentVersion | None]:
        return get_document(session, ctx, document_id), find_version(session, ctx, document_id)

    document, version = await read(services().database, look_up)
    if version is None:
        raise NotFound("The text of this document is not stored. Load it again to be able to read it.")
    # Of each document that is looked at, all of its text is in memory.
    async with services().view_texts.place(ctx.tenant_id):
        extracted = await asyncio.to_thread(services().document_files.read_extracted, ctx, version)
        length, text = len(extracted.text), extracted.text[offset : offset + LONGEST_TEXT]
    if offset and offset >= length:
        raise refuse_field(f"The text has {length:,} characters: offset has to be less.", "offset")
    links, end = services().links, offset + len(text)
    details = DocumentDetails(
        source=document.source,
        media_type=version.media_type,
        language=version.language,
        version=version.version,
        updated_at=format_moment(document.updated_at),
        length=length,
        offset=offset,
        next_offset=end if end < length else None,
    )
    link = await links.make_document_link(ctx, document_id, version.version, links.get_base_url())
    url = link or document.url or make_uri(document_id)
    return DocumentText(id=document_id, title=document.title, text=text, url=url, metadata=details)


async def list_resources(ctx: Principal, params: Mapping[str, Any]) -> dict[str, Any]:
    """A page of the documents that have been read, oldest first.

    Raises:
        BadInput: the cursor is none.
    """
    cursor = params.get("cursor")
    if not isinstance(cursor, str | None):
        raise refuse_field("cursor has to be a text.", "cursor")
    part = read_part_query(PageQuery.model_construct(limit=50, offset=0, after=cursor), datetime, str)
    progress = await read(
        services().database, lambda session: list_progress(session, ctx, None, part, status="completed")
    )
    page: dict[str, Any] = {"resources": [_describe(one.document) for one in progress.rows]}
    if progress.next_after is not None:
        page["nextCursor"] = make_cursor(part.offset + len(progress.rows), progress.next_after)
    return page


def _describe(document: Document) -> dict[str, Any]:
    return {
        "uri": make_uri(document.document_id),
        "name": document.source,
        "title": document.title,
        "mimeType": "text/plain",
        "annotations": {"lastModified": format_moment(document.updated_at)},
    }


async def read_resource(ctx: Principal, params: Mapping[str, Any]) -> dict[str, Any]:
    """The text of the document that `uri` names; `_meta.next` is the address of what follows a long one's part.

    Raises:
        NotFound: there is no such document; and what else `read_document` raises.
    """
    uri = params.get("uri")
    resource = _URI.fullmatch(uri) if isinstance(uri, str) else None
    if resource is None:
        raise NotFound(f"Resource not found. Addresses of documents are of the form {URI_TEMPLATE}.")
    document = await read_document(ctx, resource[1], int(resource[2] or 0))
    content: dict[str, Any] = {"uri": uri, "mimeType": "text/plain", "text": document.text}
    if document.metadata.next_offset is not None:
        content["_meta"] = {"next": make_uri(document.id, document.metadata.next_offset)}
    return {"contents": [content]}
