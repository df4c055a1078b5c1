"""Files that this project wrote, and that may have been damaged or exchanged since."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from helpers.common.errors import WorkshopError, expected, is_out_of_memory
from helpers.common.files import write_text
from helpers.common.inputs import open_input

SUMS_FILE = "SHA256SUMS"  # of a folder, as `sha256sum --check` reads it


@contextmanager
def reading(path: Path, what: str, fix: str) -> Iterator[None]:
    """Makes one message, which names the file, of whatever a library raises for a damaged one."""
    try:
        yield
    except Exception as error:
        names_it = isinstance(error, WorkshopError) and str(path) in str(error)
        if names_it or is_out_of_memory(error):
            raise
        reason = next(iter(f"{error}".splitlines()), "")[:200] or type(error).__name__
        raise expected(what, f"none that can be read ({reason})", fix, path) from error


def digest(path: Path) -> str:
    """Returns the SHA-256 of a plain file, in hexadecimal."""
    with open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path, *names: str) -> None:
    """Writes the digest of each file that these names stand for or hold into `SUMS_FILE`."""
    files = [file for name in names for file in _files(folder / name)]
    lines = [f"{digest(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    write_text(folder / SUMS_FILE, "".join(lines))


def check_sums(folder: Path, name: str, fix: str) -> None:
    """Refuses a file, or a folder's files, that are not as written; older folders have no sums."""
    if not (folder / SUMS_FILE).is_file():
        return
    with reading(folder / SUMS_FILE, "SHA-256 sums of files", fix):
        lines = (folder / SUMS_FILE).read_text("utf-8").splitlines()
        noted = {path: sum_ for sum_, path in (line.split("  ", 1) for line in lines)}
    noted = {path: sum_ for path, sum_ in noted.items() if f"{path}/".startswith(f"{name}/")}
    found = {file.relative_to(folder).as_posix(): digest(file) for file in _files(folder / name)}
    for path in sorted(noted.keys() | found.keys()):
        if noted.get(path) != found.get(path):
            raise expected("the file as it was written", "a damaged or foreign one", fix, path)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
