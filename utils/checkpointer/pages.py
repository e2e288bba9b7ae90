"""A list as a chain of pages, so that appending stores the new item and one short page, however long the list is.

A page is the reference of the page before it, if any, and then up to `PAGE_ITEMS` references of items. Full pages are
shared by every checkpoint that begins with the same items; only the last page is written anew. A list's reference is
that of its last page.
"""

from collections.abc import Callable, Mapping, Sequence

from .codec import PAGE, REF_BYTES
from .errors import UnreadableValue
from .records import split_refs

PAGE_ITEMS = 16
Name = Callable[[bytes], bytes]  # the reference of a page with these bytes
Page = tuple[bytes, Sequence[bytes]]
_SHORT_TEXT = 64


def is_paged(value: object) -> bool:
    """Whether *value* is a list that is stored item by item: not one of short scalars, which is smaller as it is."""
    return type(value) is list and any(not _is_scalar(item) for item in value)


def _is_scalar(item: object) -> bool:
    return item is None or isinstance(item, (bool, int, float)) or (isinstance(item, str) and len(item) < _SHORT_TEXT)


def fold(items: Sequence[bytes], name: Name) -> dict[bytes, bytes]:
    """Pages for the references *items* (at least one), by reference, first to last: the last stands for the list."""
    pages: dict[bytes, bytes] = {}
    before = b""
    for start in range(0, len(items), PAGE_ITEMS):
        page = before + b"".join(items[start : start + PAGE_ITEMS])
        before = name(page)
        pages[before] = page
    return pages


class Pages:
    """The pages behind some checkpoints: *known* have been read before, *fields* hold the others and are checked.

    `read` is what was used: the reference of the page before, or `b""`, and those of the items, by the page's own.
    """

    def __init__(self, name: Name, fields: Mapping[bytes, bytes], known: Mapping[bytes, Page]) -> None:
        self.read: dict[bytes, Page] = {}
        self._name, self._fields, self._known = name, fields, known

    def unfold(self, root: bytes) -> list[tuple[bytes, Sequence[bytes]]]:
        """Each page of the list *root* and the references of the items on it, the last page first.

        Raises:
            UnreadableValue: a page is missing or does not match its name.
        """
        pages: list[tuple[bytes, Sequence[bytes]]] = []
        ref = root
        while ref:
            page = self.read.get(ref) or self._known.get(ref) or self._opened(ref)
            self.read[ref] = page
            pages.append((ref, page[1]))
            ref = page[0]
        return pages

    def _opened(self, ref: bytes) -> Page:
        page = self._fields.get(ref)
        if page is None or self._name(page) != ref or len(page) % REF_BYTES:
            raise UnreadableValue("a page of a list is missing or broken")
        before = page[:REF_BYTES] if page.startswith(PAGE) else b""
        return before, tuple(split_refs(page[len(before) :]))
