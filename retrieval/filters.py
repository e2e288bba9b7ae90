"""What a search is limited to, beside the tenant."""

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.ranking import DATASET, DOCUMENT, LABELS, LANGUAGE
from utils.passages import Passage


@dataclass(frozen=True, slots=True)
class Filters:
    """Passages that have, for each field that says anything, one of its values; *labels* must all be there."""

    dataset_ids: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def conditions(self) -> Iterator[tuple[str, list[str]]]:
        """Payload fields, each with the values of which a passage must have one."""
        for field, values in ((DATASET, self.dataset_ids), (DOCUMENT, self.document_ids), (LANGUAGE, self.languages)):
            if values:
                yield field, list(values)
        for label in self.labels:
            yield LABELS, [label]

    def allow(self, passage: Passage) -> bool:
        """Whether *passage* is let through, for stores that cannot tell by themselves."""
        of_fields = {
            DATASET: {passage.dataset_id},
            DOCUMENT: {passage.document_id},
            LANGUAGE: {passage.language},
            LABELS: set(passage.labels),
        }
        return all(of_fields[field].intersection(values) for field, values in self.conditions())


ALL = Filters()
