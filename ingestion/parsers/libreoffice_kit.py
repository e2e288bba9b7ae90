"""LibreOffice as a library, in a process of the sandbox that may make files in one folder: it opens a file of an old
format there and saves it in one that our parsers read.

By its C interface, LibreOfficeKit (include/LibreOfficeKit/LibreOfficeKit.h), to which functions are only added: started
as a program, it would open sockets and start another one. It never runs macros when it is called so.
"""

import ctypes
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

# Places in the tables of functions, whose first entry is their size.
_LOAD, _SAVE = 2, 2
_CLASS = ctypes.POINTER(ctypes.c_void_p)
_LOAD_TYPE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_SAVE_TYPE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)


def convert(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer with the size of the converted file as a line of JSON and the file, or with what was refused."""
    request = json.loads(requests.readline())
    folder = Path(request["folder"])
    (folder / "old").write_bytes(requests.read(request["size_bytes"]))
    converted = _convert(Path(request["library"]), folder, request["target"])
    answer = {"refused": "not converted"} if converted is None else {"converted_bytes": len(converted)}
    answers.write(json.dumps(answer).encode() + b"\n" + (converted or b""))
    answers.flush()


def _convert(library: Path, folder: Path, target: str) -> bytes | None:
    """The file `old` in *folder* as *target*; None where LibreOffice cannot open or save it."""
    variables = {"HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8", "SAL_USE_VCLPLUGIN": "svp"}
    os.environ.update(variables)
    office = _open_office(library, (folder / "profile").as_uri())
    document = _get_function(office, _LOAD, _LOAD_TYPE)(office, (folder / "old").as_uri().encode())
    if not document:
        return None
    new = folder / f"new.{target}"
    saved = _get_function(document, _SAVE, _SAVE_TYPE)(document, new.as_uri().encode(), target.encode(), None)
    return new.read_bytes() if saved and new.is_file() else None


def _open_office(library: Path, profile: str) -> int:
    hook = ctypes.CDLL(str(library)).libreofficekit_hook_2
    hook.restype, hook.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_char_p)
    office = hook(os.fsencode(library.parent), profile.encode())
    if not office:
        raise OSError("LibreOffice does not start.")
    return int(office)


def _get_function(thing: int, place: int, kind: Any) -> Any:
    """The function of an office or document at *place* in its class's table."""
    table = ctypes.cast(thing, _CLASS)[0]
    return kind(ctypes.cast(table, _CLASS)[place])
