"""What datasets and documents look like on the wire, in and out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.conditional import merge_patch
from api.metadata import DocumentMetadata, Metadata, check_metadata
from api.paging import PageOut, PageQuery
from api.problem_schemas import ErrorOut
from api.schemas import NON_BLANK, Day
from domain.datasets import DatasetChange
from domain.uploads import LONGEST_EXTERNAL_ID
from utils.validation import check_text, refuse_field
from utils.validity import Validity

MAX_TAGS = 50

Tag = Annotated[str, StringConstraints(min_length=1, max_length=80), AfterValidator(check_text), NON_BLANK]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(check_text),
    NON_BLANK,
]

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    AfterValidator(check_text),
    NON_BLANK,
    AfterValidator(lambda title: " ".join(title.split())),
]


def check_external_id(value: str) -> str:
    """*value* if it can be told apart from every other one once it is stored.

    Raises:
        ValueError: it is blank, or holds what databases would not keep as it is.
    """
    if "\0" in value:
        raise ValueError("Holds a NUL character, which databases do not take")
    return check_text(value)


ExternalId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_EXTERNAL_ID),
    AfterValidator(check_external_id),
    NON_BLANK,
]
_EXTERNAL_ID = Field(
    description="What you call the document, compared exactly: what comes with it again takes the document's place.",
    examples=["faq/opening-hours"],
)


class Strict(BaseModel):
    """What callers send: nothing that is not known."""

    model_config = ConfigDict(strict=True, extra="forbid")


DocumentLinks = Annotated[
    Literal["off", "quote", "full"],
    Field(
        description="What links to its documents open without a key: the document and its file, the cited passage with "
        "some context, or nothing."
    ),
]


class DatasetIn(Strict):
    """A new dataset."""

    name: Name = Field(examples=["Handbook"])
    description: str = Field("", max_length=5000)
    tags: Tags = []
    metadata: Metadata = Field({}, examples=[{"category": "faq", "language": "en", "domain": "students"}])
    document_links: DocumentLinks | None = Field(None, description="null: as DOCUMENT_LINKS says.")


class DatasetPatch(Strict):
    """What to change; what is left out stays, and null clears."""

    name: Name = Field(default_factory=str)  # null is none
    description: str | None = Field(None, max_length=5000)
    tags: Tags | None = None
    metadata: Metadata | None = None
    document_links: DocumentLinks | None = Field(None, description="null: as DOCUMENT_LINKS says.")

    def change(self, labels: Mapping[str, object]) -> DatasetChange:
        """What of it was sent; its metadata merged into *labels*, which are those of the dataset.

        Raises:
            BadInput: that would be more metadata than a dataset may have.
        """
        empty = {"description": "", "tags": [], "metadata": {}}
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        sent = {name: empty.get(name) if value is None else value for name, value in sent.items()}
        if "metadata" in sent:
            merged = {} if self.metadata is None else merge_patch(labels, sent["metadata"])
            del sent["metadata"]
            try:
                sent["labels"] = check_metadata(merged)
            except ValueError as exc:
                raise refuse_field(f"{exc}, merged into what is there.", "metadata") from exc
        return cast(DatasetChange, sent)


class DatasetPath(BaseModel):
    """Which dataset."""

    dataset_id: str


class DocumentPath(BaseModel):
    """Which document."""

    document_id: str


Status = Literal["pending", "processing", "completed", "failed", "cancelled"]


class DocumentsQuery(PageQuery):
    """Which documents."""

    status: Status | None = None


class TextDocumentIn(Strict):
    """A document that is sent as text."""

    title: Title = Field(examples=["Opening hours"])
    content: Annotated[str, AfterValidator(check_text), NON_BLANK] = Field(min_length=1, max_length=5_000_000)
    source_type: Literal["text"] = "text"
    external_id: Annotated[ExternalId | None, _EXTERNAL_ID] = None
    tags: Tags = []
    metadata: DocumentMetadata = {}


class LoadDocumentIn(BaseModel):
    """A file in Base64; fields that are not known are passed over, as callers of this route expect."""

    model_config = ConfigDict(strict=True)

    company: str = Field(min_length=1, max_length=63, description="The tenant of the key; another one is not found.")
    filename: str = Field(min_length=1, max_length=1000)
    content: str = Field(min_length=1, description="The file, Base64.")
    external_id: Annotated[ExternalId | None, _EXTERNAL_ID] = None
    metadata: DocumentMetadata = {}


class DatasetOut(BaseModel):
    """A dataset."""

    id: str
    name: str
    tenant_id: str
    description: str
    tags: list[str]
    metadata: dict[str, Any]
    document_links: DocumentLinks | None = Field(description="null: as DOCUMENT_LINKS says.")
    document_count: int = Field(description="How many it holds.")
    documents: int = Field(default=0, description="document_count, as it was called before.", deprecated=True)
    created_at: datetime
    updated_at: datetime


class DatasetsOut(PageOut):
    """A part of the datasets, oldest first."""

    datasets: list[DatasetOut]


class DocumentErrorOut(ErrorOut):
    """Why a document could not be read."""

    advice: str | None = Field(description="What to do about it.")


class DocumentOut(BaseModel):
    """A document and how far it is; `stage` and `progress` say more while it is processing."""

    id: str
    dataset_id: str | None
    external_id: str | None = Field(description="What its owner calls it.")
    title: str
    source: str
    status: Status
    stage: Literal["stored", "reading", "recognising", "indexing"] | None
    progress: float = Field(description="Of its stage, 0 to 1.")
    share_done: float = Field(default=0.0, description="progress, as it was called before.", deprecated=True)
    searchable: bool = Field(
        description="Whether questions find it now, at least by its words; not outside the days on which it holds."
    )
    error: DocumentErrorOut | None = Field(description="Why it failed, or its newest version did.")
    advice: str | None = Field(default=None, description="As in error.", deprecated=True)
    attempt_count: int
    attempts: int = Field(default=0, description="attempt_count, as it was called before.", deprecated=True)
    version: int
    size_bytes: int
    media_type: str
    language: str
    page_count: int | None
    pages: int | None = Field(default=None, description="page_count, as it was called before.", deprecated=True)
    scanned: bool | None = Field(description="Whether malware was looked for; null where there is no scanner.")
    unread_pages: list[int] = Field(description="Pages whose text could not be had, or not all of it.")
    garbled_pages: list[int] = Field(
        default=[], description="Those of them whose fonts do not say which letters they show: send the file's source."
    )
    notes: list[str] = Field(default=[], description="What else was left out and why, in sentences.")
    chunk_count: int
    chunks: int = Field(default=0, description="chunk_count, as it was called before.", deprecated=True)
    tags: list[str]
    metadata: dict[str, Any]
    date: Day = Field(description="The day that answers give for it.")
    date_source: Literal["valid_from", "file", "upload"] = Field(
        description="Whose day that is: from when it holds; what the file itself says (front matter, page); or when "
        "this version came in."
    )
    valid_from: Day | None = Field(description="As its metadata says, else its front matter.")
    valid_until: Day | None = Field(description="As its metadata says, else its front matter.")
    validity: Validity = Field(description="Whether it holds today: nothing is answered from one that does not.")
    precedence: float = Field(description="Of two documents that say different things the higher one wins.")
    created_at: datetime
    updated_at: datetime


class AcceptedDocumentOut(DocumentOut):
    """A document that is going to be read, or not any further."""

    status_url: str


class AddedOut(AcceptedDocumentOut):
    """A document that was taken in; it is not lost any more."""

    unchanged: bool = Field(description="The dataset had it already: this is that document, and nothing was added.")
    replaced: bool = Field(description="The document of this external id said something else before.")


class DocumentsOut(PageOut):
    """A part of the documents, oldest first."""

    documents: list[DocumentOut]


class AcceptedOut(BaseModel):
    """A file that was taken in; it is not lost any more."""

    document_id: str
    job_id: str | None = Field(description="null for a document that is unchanged, and came from a folder or a site.")
    external_id: str | None
    name: str
    status: Status
    unchanged: bool = Field(description="The dataset held this very file already, as this document.")
    replaced: bool = Field(description="The document of this external id said something else before.")
    status_url: str


class RefusedOut(BaseModel):
    """A file that was not."""

    name: str
    reason: str


class UploadOut(BaseModel):
    """What became of each file."""

    dataset_id: str
    jobs: list[AcceptedOut]
    refused: list[RefusedOut]
    status_url: str = Field(description="The documents of the dataset; each job has an address of its own.")


class LoadedOut(BaseModel):
    """The document of a file that was sent by `/api/load-document`."""

    id: str
    document_id: int = Field(description="The id as a number, for callers that expect one.")
    job_id: str | None = Field(description="null for a document that is unchanged, and came from a folder or a site.")
    status: Status
    status_url: str
    unchanged: bool
    replaced: bool
