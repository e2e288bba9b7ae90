"""The rules for reading files, however they come in."""

from dataclasses import dataclass

from ingestion.chunking import ChunkSizes
from ingestion.malware import MalwareCheck
from ingestion.parsers.parsed import Limits
from ingestion.parsers.sandbox import ParserProcess
from ingestion.reader import DocumentReader
from utils.sandbox.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPolicy:
    """Limits of files, the malware check, the sizes of chunks, and the sandbox for parsers.

    Nothing here has a default: no way in can forget the malware check, or read outside the sandbox.
    """

    limits: Limits
    sizes: ChunkSizes
    malware: MalwareCheck
    sandbox: Sandbox

    def open_parser(self) -> ParserProcess:
        """A parser for one thread."""
        return ParserProcess(self.limits, self.sandbox)

    def make_reader(self, parser: ParserProcess) -> DocumentReader:
        """A reader of files with *parser*."""
        return DocumentReader(parser, self.malware, self.sizes)
