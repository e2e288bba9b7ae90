"""From paths to the files below them: which to load, by what they are known, and what readers are shown as source."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingestion.parsers.kinds import is_known
from utils.errors import BadInput

SAMPLES = "samples:"
NAMED = 5  # of the files in a folder without documents
HIDDEN = "It is hidden: its name begins with a dot."
OUTSIDE = "It is a link out of the folder."
OF_THE_SYSTEM = (Path("/proc"), Path("/sys"))
LONGEST_PATH_BYTES = 2_000  # PostgreSQL's indexes take 2,700 bytes, a tenant's name among them


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file to load: where it is, and what readers are shown as its source."""

    path: Path
    source: str


@dataclass(slots=True)
class Walk:
    """The files and folders that were found below some paths.

    `skipped` and `unreadable` hold names with the reason: of what is no document, and of files and folders that cannot
    be read. A folder that was not entered stands for all that is in it. `unread_folders` names those of `unreadable`
    that are folders: whether their files are there is not known.
    """

    files: list[FileEntry] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    unread_folders: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What links may lead to: what is below `inside`, but nothing below `never`. All are resolved."""

    inside: Sequence[Path]
    never: Sequence[Path]

    def explain_refusal(self, path: Path) -> str | None:
        """Why what is at *path* is not read, in a sentence; None if it may be."""
        real = Path(os.path.realpath(path))  # unlike `resolve`, it takes loops of links
        if not any(real.is_relative_to(place) for place in self.inside):
            return OUTSIDE
        for place in self.never:
            if real.is_relative_to(place):
                return f"What is in {place} is never read."
        return None


@dataclass(frozen=True, slots=True)
class Origins:
    """From paths to the origins by which documents are known, and back.

    The origin is the absolute path, but in the samples' folder the path below it, so that a checkout that was moved
    does not hold its samples twice.
    """

    samples: Path | None

    def make_origin(self, path: Path) -> str:
        """The origin of the file at *path*, which is absolute."""
        if self.samples is not None and path.is_relative_to(self.samples):
            return SAMPLES + path.relative_to(self.samples).as_posix()
        return str(path)

    def find_path(self, origin: str) -> Path | None:
        """Where the file of *origin* is or was; None for a sample when the samples' place is not known."""
        if not origin.startswith(SAMPLES):
            return Path(origin)
        return self.samples / origin.removeprefix(SAMPLES) if self.samples is not None else None


def find_bounds(paths: Sequence[Path], data_dir: Path | None) -> Bounds:
    """What may be read when *paths* are loaded: what is in them, but nothing of the system's, and no *data_dir*.

    Raises:
        BadInput: one of *paths* is not there, or is never read.
    """
    never = [*OF_THE_SYSTEM, *([data_dir.resolve()] if data_dir else [])]
    bounds = Bounds([_resolve(path) for path in paths], never)
    for path in paths:
        if refusal := bounds.explain_refusal(path):
            raise BadInput(f"{path} is not loaded. {refusal}")
    return bounds


def walk(paths: Sequence[Path], bounds: Bounds) -> Walk:
    """Every file of a known kind below *paths*, in a stable order, each once; hidden ones are passed over.

    Raises:
        BadInput: one of *paths* is a folder without a single document.
    """
    walk = Walk()
    for path in paths:
        _collect(path, walk, bounds)
    unique = {file.path: file for file in walk.files}
    walk.files = list(unique.values())
    return walk


def _resolve(path: Path) -> Path:
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as exc:
        raise BadInput(f"{path} does not exist or cannot be read.") from exc


def _collect(path: Path, walk: Walk, bounds: Bounds) -> None:
    resolved = _resolve(path)
    if not resolved.is_dir():
        _add(walk, _make_absolute(path), path.name)
        return
    before = len(walk.files) + len(walk.unreadable)
    walk.folders.append(resolved)
    for file in _iter_files(resolved, walk, bounds):
        source = file.relative_to(resolved.parent).as_posix()
        if _is_unicode(source) and (reason := _explain_skipped(file, bounds)):
            walk.skipped.append((source, reason))
        else:
            _add(walk, file, source)
    if len(walk.files) + len(walk.unreadable) == before:
        raise BadInput(f"The folder {path} holds no document of a kind that is read.{_list_names(walk.skipped)}")


def _explain_skipped(file: Path, bounds: Bounds) -> str | None:
    if file.is_symlink() and (refusal := bounds.explain_refusal(file)):
        return refusal
    if os.path.exists(file) and not file.is_file():
        return "It is not a regular file."
    return None if is_known(file.name) else _explain_unknown(file)


def _explain_unknown(file: Path) -> str:
    if not file.suffix:
        return "Its name has no file extension, such as .pdf."
    return f"Files of this kind ({file.suffix.lower()}) are not read."


def _list_names(skipped: Sequence[tuple[str, str]]) -> str:
    names = ", ".join(name for name, _ in skipped[:NAMED])
    return f" Skipped: {names}{' …' if len(skipped) > NAMED else ''}" if skipped else ""


def _add(walk: Walk, file: Path, source: str) -> None:
    if not _is_unicode(str(file)):
        walk.unreadable.append((_make_unicode(source), "Its path is not UTF-8: rename it."))
    elif len(os.fsencode(file)) > LONGEST_PATH_BYTES:
        walk.unreadable.append((source, f"Its path is longer than {LONGEST_PATH_BYTES:,} bytes: move it."))
    else:
        walk.files.append(FileEntry(file, source))


def _is_unicode(name: str) -> bool:
    """Whether a file's name can be written anywhere at all; on Linux it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _make_unicode(name: str) -> str:
    return os.fsencode(name).decode(errors="replace")


def _make_absolute(path: Path) -> Path:
    """The absolute path of a file; its own name is kept if it is a link."""
    return path.parent.resolve() / path.name


def _iter_files(root: Path, walk: Walk, bounds: Bounds) -> Iterator[Path]:
    """Files in sorted order. Links are followed within the bounds, but no folder is entered twice."""
    entered: set[str] = set()

    def note(error: OSError) -> None:
        name = _make_unicode(Path(error.filename).relative_to(root.parent).as_posix())
        walk.unread_folders.append(name)
        walk.unreadable.append((name, f"The folder cannot be read: {error.strerror}."))

    def skip(path: Path, reason: str) -> None:
        if _is_unicode(name := path.relative_to(root.parent).as_posix()):
            walk.skipped.append((name, reason))

    for folder, folders, files in os.walk(root, followlinks=True, onerror=note):
        real = os.path.realpath(folder)
        if real in entered:
            folders.clear()
            skip(Path(folder), "It links to a folder that is read already.")
            continue
        if refusal := bounds.explain_refusal(Path(folder)):
            folders.clear()
            skip(Path(folder), refusal)
            continue
        entered.add(real)
        for name in sorted(name for name in (*folders, *files) if name.startswith(".")):
            skip(Path(folder, name), HIDDEN)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))
