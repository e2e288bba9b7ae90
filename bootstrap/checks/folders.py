"""Folders and files of the settings: there, allowed, with room; nothing in them is changed."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bootstrap.checks.settings import Installation
from bootstrap.data_folder import LOCK
from utils.disk import DiskSpace
from utils.findings import Finding, failure, ok, warning
from utils.private_files import explain_not_ours, is_open_to_others

_OTHER_FOLDER = "Let this user write it, or set DATA_DIR to another folder."


def check_data_folder(installation: Installation) -> Iterator[Finding]:
    """Whether it can be written by this user alone, how much room there is, and whether a service runs on it."""
    folder = installation.settings.data_dir
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if reason := _explain_not_writable(nearest):
        yield failure("DATA_DIR", reason, _OTHER_FOLDER)
        return
    text = str(folder) if nearest == folder else f"{folder}, which is made at the first start"
    yield ok("DATA_DIR", f"{text}, can be written")
    if nearest == folder:
        yield from _check_privacy(folder)
    yield _check_room(DiskSpace(folder, installation.settings.disk_reserve_bytes))
    yield _check_lock(folder)


def _explain_not_writable(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is a file, not a folder."
    try:
        # Permission bits do not tell of a read-only file system. Where the system can, this file never has a name.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as exc:
        return f"{folder} cannot be written: {exc.strerror}."
    return ""


def _check_privacy(folder: Path) -> Iterator[Finding]:
    if reason := explain_not_ours(folder, variable="DATA_DIR"):
        yield failure("DATA_DIR", reason, "Then run this again.")
    elif is_open_to_others(folder):
        text = f"{folder} is open to other users; it holds conversations and keys."
        yield warning("DATA_DIR", text, f"chmod 700 {folder}, as the next start does by itself.")


def _check_room(disk: DiskSpace) -> Finding:
    free = disk.measure_free_bytes()
    text = f"{_format(free)} free where DATA_DIR is, {_format(disk.reserve_bytes)} are the reserve"
    if disk.measure_state() == "full":
        remedy = "Make room: the service does not start with embedded stores, or refuses documents (DISK_RESERVE_MB)."
        return failure("Disk", text, remedy)
    if disk.measure_state() == "low":
        return failure("Disk", text, "Make room: documents are refused (DISK_RESERVE_MB).")
    if free < 2 * disk.reserve_bytes:
        return warning("Disk", text, "Make room before it is used up, or set DATA_DIR to a larger disk.")
    return ok("Disk", text)


def _format(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.0f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:,.1f} GB"


def _check_lock(folder: Path) -> Finding:
    """Whether a service runs on the folder."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return ok("Lock", "no service has run on DATA_DIR yet")
    except OSError as exc:
        remedy = "Let this user own what is in DATA_DIR, or run this as the user the service runs as."
        return failure("Lock", f"{folder / LOCK} cannot be read: {exc.strerror}.", remedy)
    try:
        # Unlocked at once: a service that starts at this moment would find it locked.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_UN)
        return ok("Lock", "no service runs on DATA_DIR now")
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        return ok("Lock", f"a service runs on DATA_DIR{f' (process {holder})' if holder.isdigit() else ''}")
    except OSError:
        remedy = "Set DATA_DIR to a local disk: without locks two services could write to it at once."
        return failure("Lock", f"{folder} is on a file system without locks.", remedy)
    finally:
        os.close(lock)


def check_knowledge(installation: Installation) -> Iterator[Finding]:
    """Whether the folder of documents can be read and holds any."""
    folder = installation.settings.documents_folder
    if folder is None:
        yield ok("KNOWLEDGE_DIR", "not set: only what you load or upload is there, the samples are for trying it out")
    elif not folder.is_dir():
        yield failure("KNOWLEDGE_DIR", f"There is no folder {folder}.", "Name a folder with documents, or unset it.")
    elif not os.access(folder, os.R_OK | os.X_OK):
        yield failure("KNOWLEDGE_DIR", f"{folder} cannot be read by this user.", "Let this user read it.")
    elif not any(folder.iterdir()):
        yield warning("KNOWLEDGE_DIR", f"{folder} is empty.", "Put documents into it, or load some with `flask load`.")
    else:
        yield ok("KNOWLEDGE_DIR", str(folder))


def check_logo(installation: Installation) -> Iterator[Finding]:
    """Whether the picture of the chat page can be shown."""
    logo = installation.settings.chat_logo
    if logo is None:
        yield ok("CHAT_LOGO", "none: the chat page shows the service's own")
    elif logo.startswith("https://"):
        yield ok("CHAT_LOGO", "an https address, which visitors' browsers load")
    elif "://" in logo:
        yield failure("CHAT_LOGO", "It is an address, but not one with https.", "Name a file or an https address.")
    elif (file := Path(logo).expanduser().absolute()).is_file() and os.access(file, os.R_OK):
        yield ok("CHAT_LOGO", str(file))
    else:
        text = f"There is no file {file} that can be read."
        yield failure("CHAT_LOGO", text, "Name a picture's file or an https address, or unset it.")
