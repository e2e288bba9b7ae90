"""Where the files of documents are kept, as a protocol; `providers/files` has what keeps them."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from auth.principal import Principal


class FileStore(Protocol):
    """A tenant's files, each kept once under the SHA-256 of its bytes (64 hexadecimal digits). Blocking: for threads.

    What one tenant keeps no other one finds, though it kept the same. Every method raises `StoreUnavailable` when the
    store cannot be read or written.
    """

    def put(self, ctx: Principal, data: bytes) -> str:
        """Keep *data*, whole and on disk or not at all; its hash. What is there already is left as it is."""

    def get(self, ctx: Principal, content_hash: str) -> bytes:
        """The whole file in memory, for work that needs it there. What is given out is opened instead.

        Raises:
            NotFound: the tenant keeps none of this hash.
        """

    def open(self, ctx: Principal, content_hash: str) -> BinaryIO:
        """The file, to be read piece by piece and closed by the caller; it stays readable when it is deleted.

        It has a descriptor, which may be handed to another process.

        Raises:
            NotFound: the tenant keeps none of this hash.
        """

    def delete(self, ctx: Principal, content_hash: str) -> None:
        """Forget the file; nothing happens where there is none."""

    def quarantine(self, ctx: Principal, content_hash: str) -> None:
        """Put the file where nothing reads it any more, for the operator to look at; the newest few are kept."""

    def list_hashes(self, ctx: Principal) -> Iterator[str]:
        """Every file of the tenant, in any order. One that is put or deleted meanwhile may be among them or not."""
