"""What every adapter of `FileStore` does, with two tenants in each test; and what the folder does beyond that."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from auth.credentials import make_key_principal
from domain.file_store import FileStore
from providers.files.folder import FolderFileStore
from utils.errors import NotFound, StoreUnavailable

ROOT = Path(__file__).parents[2]
ACME, GLOBEX = make_key_principal("acme", "test"), make_key_principal("globex", "test")
ADAPTERS: dict[str, Callable[[Path], FileStore]] = {"folder": lambda path: FolderFileStore(path / "files")}


@pytest.fixture(params=ADAPTERS)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    """An empty store, of each kind in turn."""
    return ADAPTERS[request.param](tmp_path)


@pytest.mark.parametrize("data", [b"", b"text", bytes(range(256)) * 5_000])
def test_a_file_is_found_again_by_its_hash_and_by_its_tenant_alone(files: FileStore, data: bytes) -> None:
    name = files.put(ACME, data)
    assert name == hashlib.sha256(data).hexdigest()
    assert files.get(ACME, name) == data
    assert list(files.list_hashes(ACME)) == [name]
    assert list(files.list_hashes(GLOBEX)) == []
    with pytest.raises(NotFound):
        files.get(GLOBEX, name)


def test_an_open_file_is_read_piece_by_piece_and_outlives_its_name(files: FileStore) -> None:
    name = files.put(ACME, b"some text")
    with files.open(ACME, name) as file:
        files.delete(ACME, name)
        assert (file.read(4), file.seek(-4, 2), file.read()) == (b"some", 5, b"text")
        assert os.pread(file.fileno(), 4, 0) == b"some"
    for ctx in (ACME, GLOBEX):
        with pytest.raises(NotFound):
            files.open(ctx, name)


def test_the_same_file_put_twice_is_kept_once(files: FileStore) -> None:
    assert files.put(ACME, b"text") == files.put(ACME, b"text")
    assert len(list(files.list_hashes(ACME))) == 1


def test_what_one_tenant_deletes_another_one_keeps(files: FileStore) -> None:
    name = files.put(ACME, b"text")
    files.put(GLOBEX, b"text")
    files.delete(ACME, name)
    files.delete(ACME, name)
    with pytest.raises(NotFound):
        files.get(ACME, name)
    assert list(files.list_hashes(ACME)) == []
    assert files.get(GLOBEX, name) == b"text"
    files.put(ACME, b"text")
    assert files.get(ACME, name) == b"text"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../globex", "a" * 63, "A" * 64, "a" * 65, "a" * 64 + "\n", "/etc/passwd"]
)
def test_what_is_no_hash_names_no_file(files: FileStore, name: str) -> None:
    kept = files.put(GLOBEX, b"text")
    with pytest.raises(NotFound):
        files.get(ACME, name)
    files.delete(ACME, name)
    assert files.get(GLOBEX, kept) == b"text"


@pytest.mark.parametrize("tenant_id", ["..", ".", "a/b", "ACME", "acme ", "%41cme", "ünïcode", "nul\0", "%2e%2e", "*"])
def test_no_name_of_a_tenant_leads_to_another_ones_files(files: FileStore, tenant_id: str) -> None:
    odd, others = make_key_principal(tenant_id, "test"), (ACME, GLOBEX, make_key_principal("a", "test"))
    names = {ctx: files.put(ctx, ctx.tenant_id.encode()) for ctx in others}
    files.put(odd, b"odd")
    assert [files.get(odd, name) for name in files.list_hashes(odd)] == [b"odd"]
    for ctx in others:
        assert list(files.list_hashes(ctx)) == [names[ctx]]


def test_many_may_put_and_read_the_same_files_at_once(files: FileStore) -> None:
    def put(number: int) -> bytes:
        ctx = (ACME, GLOBEX)[number % 2]
        return files.get(ctx, files.put(ctx, b"%d" % (number % 7) * 10_000))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(put, range(200)))
    assert found == [b"%d" % (number % 7) * 10_000 for number in range(200)]
    assert len(list(files.list_hashes(ACME))) == len(list(files.list_hashes(GLOBEX))) == 7


def test_everything_in_the_folder_is_for_its_owner_alone_and_below_its_tenant(tmp_path: Path) -> None:
    files, before = FolderFileStore(tmp_path / "data" / "files"), os.umask(0)
    try:
        for tenant_id in ("acme", "../up"):
            files.put(make_key_principal(tenant_id, "test"), b"text")
    finally:
        os.umask(before)
    made = [path for path in tmp_path.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_file()} == {"0o600"}
    name = hashlib.sha256(b"text").hexdigest()
    kept = {str(path.relative_to(tmp_path)) for path in made if path.is_file()}
    assert kept == {f"data/files/{folder}/{name[:2]}/{name}" for folder in ("acme", "%2e%2e%2fup")}


def test_a_process_that_is_killed_while_it_puts_leaves_no_half_file(tmp_path: Path) -> None:
    # Its disk is full in the middle: the limit on the size of files ends the process with a signal.
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "import pathlib, sys; from providers.files.folder import FolderFileStore\n"
        "from auth.credentials import make_key_principal\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "FolderFileStore(pathlib.Path(sys.argv[1])).put(make_key_principal('acme', 'test'), b'x' * 200_000)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode < 0
    files = FolderFileStore(tmp_path)
    assert list(files.list_hashes(ACME)) == []
    [left] = [path for path in tmp_path.rglob("*") if path.is_file()]
    os.utime(left, (0, 0))
    assert list(files.list_hashes(GLOBEX)) == []
    assert left.exists()
    assert list(files.list_hashes(ACME)) == []
    assert not left.exists()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("in the way")
    files = FolderFileStore(tmp_path / "files")
    with pytest.raises(StoreUnavailable, match="DATA_DIR"):
        files.put(ACME, b"text")
    with pytest.raises(StoreUnavailable, match="DATA_DIR"):
        files.get(ACME, "a" * 64)
