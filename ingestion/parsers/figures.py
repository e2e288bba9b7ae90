"""Charts and diagrams of Office documents: parts of their own, which a page, slide or sheet names."""

from collections.abc import Callable, Mapping

from lxml import etree

from ingestion.parsers.archive import Archive
from ingestion.parsers.charts import add_chart
from ingestion.parsers.diagrams import add_diagram
from ingestion.parsers.ooxml import find_related
from ingestion.parsers.parsed import TextBuilder

# By the kind of the relation.
FIGURES: Mapping[str, Callable[[TextBuilder, etree._Element], None]] = {
    "chart": add_chart,
    "diagramData": add_diagram,
}


def add_figures(builder: TextBuilder, archive: Archive, part: str) -> None:
    """The charts and diagrams that *part* names."""
    for kind, add in FIGURES.items():
        for root in find_related(archive, part, kind):
            add(builder, root)
