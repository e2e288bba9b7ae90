"""Files and folders that nobody but the service's own user can read."""

import logging
import os
import secrets
import stat
from pathlib import Path

from utils.processes import StartError

logger = logging.getLogger(__name__)

_OTHERS = 0o077
UNFINISHED = ".new-"  # names that begin so are of files that nobody has written to their end


def keep_files_private() -> None:
    """Let every file that this process and its children make be readable by their user alone.

    For the first lines of each program: conversations, keys and documents are in these files.
    """
    os.umask(_OTHERS)


def ensure_private_folder(path: Path, *, variable: str) -> Path:
    """The folder *path*, absolute, made where it is missing (0700), and closed to other users where it was open.

    Raises:
        StartError: it is a file or a link, belongs to somebody else, or cannot be written or closed; names *variable*.
    """
    folder = Path(os.path.abspath(path.expanduser()))
    another = f"set {variable} to another folder"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if reason := explain_not_ours(folder, variable=variable):
            raise StartError(reason)
        if is_open_to_others(folder):
            _close(folder)
        if is_open_to_others(folder):  # file systems without permissions: FAT, some network shares
            raise StartError(f"{folder} is open to other users, and this file system cannot close it; {another}.")
    except (FileExistsError, NotADirectoryError) as exc:
        raise StartError(f"{path} is a file, not a folder; {another}.") from exc
    except OSError as exc:
        raise StartError(f"{path} cannot be written ({exc.strerror}); {another}.") from exc
    return folder


def explain_not_ours(folder: Path, *, variable: str) -> str:
    """Why an existing *folder* cannot be this user's alone, with what to do about it; "" where it can.

    Raises:
        OSError: it cannot be looked at.
    """
    result = folder.lstat()
    if stat.S_ISLNK(result.st_mode):
        return f"{folder} is a symbolic link; set {variable} to the folder itself: {folder.resolve()}."
    if result.st_uid != os.geteuid():
        return (
            f"{folder} belongs to user {result.st_uid}, who could read and replace everything in it; this is user "
            f"{os.geteuid()}: `chown` it, or set {variable} to a folder of this user's own, such as "
            f"{folder / 'pustaka'}."
        )
    return ""


def is_open_to_others(folder: Path) -> bool:
    """Whether other users may look into *folder* or write there."""
    return bool(folder.lstat().st_mode & _OTHERS)


def replace_file(path: Path, data: bytes) -> None:
    """Let *path* hold *data*, all of it or what it held before, for its owner alone; on the disk on return."""
    unfinished = path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write the folder's own content to the disk: without it a file's name is lost when the power is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _close(folder: Path) -> None:
    mode = stat.S_IMODE(folder.lstat().st_mode)
    logger.warning("%s was accessible to other users (mode %04o); changed to 0700.", folder, mode)
    folder.chmod(0o700)
