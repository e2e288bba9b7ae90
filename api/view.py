"""`/v1/documents/{id}/view`: a document as it was when it was cited, open at the quote; and its file to keep."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, TypeVar

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from api.access import get_valid_link, requires_or_link
from api.description_parts import REQUEST_HEADERS, RESPONSE_HEADERS, describe_file_response, request_header
from api.links import Grant, make_sibling_prefix
from api.problem_schemas import Problem
from api.problems import note_failure
from api.responses import stream_file
from api.services import services
from api.view_page import PAGE_POLICY, OpenedDocument, lay_out, render_pdf, render_problem, render_text
from auth.principal import Principal, PrincipalKind
from auth.scopes import Scope
from domain.document_files import find_version
from domain.document_links import LinkMode, LinkRules, link_rules
from domain.models import DocumentVersion
from ingestion.pages.images import PdfFile
from utils.errors import Gone, NotFound, ProblemError
from utils.long_texts import process_text

T = TypeVar("T")
View = Callable[..., Awaitable[Response]]
_LARGEST = 2**31 - 1  # what every database takes as a number
_PICTURE_KEPT_S = 3600
_REFUSALS: dict[Any, Any] = dict.fromkeys((400, 401, 403, 404, 410, 429, 503), Problem)

view_blueprint = APIBlueprint(
    "view", __name__, abp_tags=[Tag(name="Documents", description="What is cited, as it was when it was cited.")]
)


class VersionPath(BaseModel):
    """Which document."""

    document_id: str = Field(max_length=36, description="As citations have it.")


class PagePath(VersionPath):
    """Which page of it."""

    page: int = Field(ge=1, le=100_000, description="Counted from 1.")


class VersionQuery(BaseModel):
    """Which version."""

    version: int | None = Field(None, ge=1, le=_LARGEST, description="Without it, the newest.")
    token: str | None = Field(None, max_length=200, description="Opens that version without a key; part of a `link`.")


class ViewQuery(VersionQuery):
    """Which version, and where in it."""

    start: int | None = Field(None, ge=0, le=_LARGEST, description="Where the quote begins in the text, in characters.")
    end: int | None = Field(None, ge=0, le=_LARGEST, description="Where it ends.")
    at: int | None = Field(None, ge=0, le=_LARGEST, description="The place to begin at, if not around the quote.")
    page: int | None = Field(None, ge=1, le=100_000, description="The page to show of a PDF, if not the quote's.")


def answer_browsers(view: View) -> View:
    """Show what the view refuses as a page to whoever asks for pages, and as a problem document to all others."""

    @wraps(view)
    async def answer(**kwargs: Any) -> Response:
        try:
            return await view(**kwargs)
        except ProblemError as error:
            if request.accept_mimetypes.best_match(["application/json", "text/html"]) != "text/html":
                raise
            note_failure(error)
            return respond_page(render_problem(error), error.status, error.headers)

    return answer


@view_blueprint.get(
    "/v1/documents/<document_id>/view",
    operation_id="viewDocument",
    summary="Read a document at a place",
    description="A page for people; a citation's `link` leads to it. The quote from `start` to `end` is marked in it. "
    "Where links open the quote alone, that and some of its context is all there is.",
    responses={200: describe_file_response("text/html", "The page."), **_REFUSALS},
)
@answer_browsers
@requires_or_link(Scope.DOCUMENTS_READ, mode=LinkMode.QUOTE)
async def view_document(ctx: Principal, path: VersionPath, query: ViewQuery) -> Response:
    """The page. 410 for what was deleted, or is too old to be kept."""
    opened = await _open(ctx, path.document_id, query)
    # Of each document that is looked at, all of its text is in memory.
    async with services().view_texts.place(ctx.tenant_id):
        extracted = await _read(services().document_files.read_extracted, ctx, opened.version)
        layout = await process_text(partial(lay_out, opened, extracted, query), characters=len(extracted.text))
    if layout.page is None:
        return respond_page(await process_text(partial(render_text, layout), characters=layout.size))
    return respond_page(await render_pdf(layout, layout.page, _open_pdf(ctx, opened.version), services().page_images))


@view_blueprint.get(
    "/v1/documents/<document_id>/pages/<int:page>.png",
    operation_id="getPageImage",
    summary="A page of a PDF as a picture",
    responses={200: describe_file_response("image/png", "The picture."), **_REFUSALS, 422: Problem},
)
@requires_or_link(Scope.DOCUMENTS_READ)
async def view_page(ctx: Principal, path: PagePath, query: VersionQuery) -> Response:
    """PNG. 404 for what is no PDF, or has no such page."""
    opened = await _open(ctx, path.document_id, query)
    if not opened.is_pdf or path.page > (opened.version.pages or 0):
        raise NotFound("Page not found.")
    picture = await services().page_images.render_png(_open_pdf(ctx, opened.version), path.page)
    headers = {"Cache-Control": f"private, max-age={_PICTURE_KEPT_S}"}
    return Response(picture, mimetype="image/png", headers=headers)


@view_blueprint.get(
    "/v1/documents/<document_id>/original",
    operation_id="downloadOriginal",
    summary="Download a document",
    responses={
        200: describe_file_response("application/octet-stream", "The file."),
        206: describe_file_response("application/octet-stream", "The range of it that was asked for."),
        304: {"description": "The caller has it already."},
        **_REFUSALS,
        416: Problem,
    },
    openapi_extensions={
        REQUEST_HEADERS: [
            request_header("Range", "The part that is wanted, such as bytes=0-1023."),
            request_header("If-None-Match", "The ETag of what the caller has already."),
        ],
        RESPONSE_HEADERS: ["ETag", "Content-Disposition"],
    },
)
@answer_browsers
@requires_or_link(Scope.DOCUMENTS_READ)
async def download_original(ctx: Principal, path: VersionPath, query: VersionQuery) -> Response:
    """The file as it came, or a range of it, to be kept and not to be shown: it may be anything."""
    opened = await _open(ctx, path.document_id, query)
    file = await _read(services().document_files.open_original, ctx, opened.version)
    response = stream_file(request, file, etag=opened.version.content_hash)
    response.headers.set("Content-Disposition", "attachment", filename=_clean_file_name(opened.version))
    return response


async def _open(ctx: Principal, document_id: str, query: VersionQuery) -> OpenedDocument:
    """The version that is asked for.

    Raises:
        Gone: it was there once, as the caller's link proves, or a newer version does.
        NotFound: the caller has no such document, or it has never had such a version.
    """
    links = services().links

    def look_up() -> tuple[LinkRules | None, DocumentVersion | None]:
        with services().database.open_read_session() as session:
            rules = link_rules(session, ctx, [document_id]).get(document_id)
            return rules, find_version(session, ctx, document_id, query.version)

    rules, version = await asyncio.to_thread(look_up)
    if rules is None:
        if ctx.kind is PrincipalKind.LINK:
            raise Gone("This document has been deleted, with all its versions. What was quoted stays in the answers.")
        raise NotFound("Document not found; it may have been deleted.")
    if version is None:
        raise _explain_missing_version(query.version, rules.version)
    signed = partial(links.signer.sign, ctx.tenant_id, document_id)
    # Whoever has the key may go on without it, but not where links open less than all.
    whole = Grant(LinkMode.FULL, rules.generation) if links.find_mode(rules) is LinkMode.FULL else None
    return OpenedDocument(
        version, rules.version, signed, link=get_valid_link(), grant=whole, prefix=make_sibling_prefix()
    )


def _explain_missing_version(version: int | None, current: int) -> ProblemError:
    if version is not None and version < current:
        older = f"Version {version} of this document was replaced, and is too old to be kept."
        return Gone(f"{older} The present one is version {current}.", members={"current_version": current})
    if version is not None and version > current:
        return NotFound(f"This document has no version {version}.")
    return NotFound("The file of this document is not stored. Load it again to be able to open it.")


async def _read(read: Callable[[Principal, DocumentVersion], T], ctx: Principal, version: DocumentVersion) -> T:
    return await asyncio.to_thread(partial(_load, read, ctx, version))


def _open_pdf(ctx: Principal, version: DocumentVersion) -> PdfFile:
    open_file = partial(_load, services().document_files.open_original, ctx, version)
    return PdfFile(ctx.tenant_id, version.content_hash, open_file)


def _load(read: Callable[[Principal, DocumentVersion], T], ctx: Principal, version: DocumentVersion) -> T:
    try:
        return read(ctx, version)
    except NotFound as exc:
        raise NotFound("The file of this document is not kept on this machine.") from exc


def respond_page(html: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """*html*, which may run and load nothing, and which search engines are to leave alone."""
    careful = {"Content-Security-Policy": PAGE_POLICY, "X-Robots-Tag": "noindex"}
    return Response(html, status, {**(headers or {}), **careful}, mimetype="text/html")


def _clean_file_name(version: DocumentVersion) -> str:
    printable = "".join(one if one.isprintable() and one not in '/\\"' else "_" for one in version.file_name)
    return printable or "document"
