"""Parts of Office files and their XML: parts name each other by relationships (ECMA-376 part 2)."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ingestion.parsers.archive import Archive
from utils.errors import UnreadableDocument

ALTERNATIVES = "AlternateContent"


@dataclass(frozen=True, slots=True)
class Relation:
    """Another part that a part names: `kind` is the last word of the relation's type, such as "slide"."""

    relation_id: str
    kind: str
    target: str


def find_main_part(archive: Archive) -> str:
    """The name of the part that the document begins with."""
    main_part = next(
        (relation.target for relation in list_relations(archive, "") if relation.kind == "officeDocument"), None
    )
    if main_part is None or main_part not in archive:
        raise archive.make_damage_error()
    return main_part


def list_relations(archive: Archive, part: str) -> list[Relation]:
    """The parts that *part* names, in their order; those outside the archive are left out."""
    folder, name = posixpath.split(part)
    path = posixpath.join(folder, "_rels", f"{name}.rels")
    if path not in archive:
        return []
    return [
        Relation(
            entry.get("Id", ""),
            entry.get("Type", "").rpartition("/")[2],
            posixpath.normpath(posixpath.join("/", folder, entry.get("Target", ""))).lstrip("/"),
        )
        for entry in archive.read_xml(path).iterchildren("{*}Relationship")
        if entry.get("TargetMode") != "External"
    ]


def find_related(archive: Archive, part: str, kind: str) -> Iterator[etree._Element]:
    """The roots of the parts of *kind* that *part* names; one that is damaged is left out."""
    for relation in list_relations(archive, part):
        if relation.kind == kind and relation.target in archive:
            try:
                yield archive.read_xml(relation.target)
            except UnreadableDocument:
                continue


def get_local_name(element: etree._Element) -> str:
    """An element's name without its namespace: the strict and the usual variant differ in those alone."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def get_attribute(element: etree._Element, name: str) -> str | None:
    """An attribute, whatever its namespace."""
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def iter_children(element: etree._Element) -> Iterator[etree._Element]:
    """The element's children; of alternatives for older programs the first one is taken."""
    for child in element:
        if get_local_name(child) == ALTERNATIVES:
            choice = next((option for option in child if get_local_name(option) in ("Choice", "Fallback")), None)
            if choice is not None:
                yield from iter_children(choice)
        elif isinstance(child.tag, str):
            yield child


def join_text(element: etree._Element) -> str:
    """The text below the element, without anything between its pieces."""
    return "".join(piece.text or "" for piece in iter_descendants(element, "t"))


def find_child(element: etree._Element | None, name: str) -> etree._Element | None:
    """The first child called *name*; None where there is none, or no element."""
    return (
        next((one for one in iter_children(element) if get_local_name(one) == name), None)
        if element is not None
        else None
    )


def find_value(element: etree._Element | None, name: str) -> str | None:
    """The attribute `val` of the first child called *name*."""
    child = find_child(element, name)
    return get_attribute(child, "val") if child is not None else None


def iter_descendants(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """The elements called *name* below the element, in document order, without those inside one that was found."""
    for child in iter_children(element):
        if get_local_name(child) == name:
            yield child
        else:
            yield from iter_descendants(child, name)
