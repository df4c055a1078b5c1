"""A folder to S3, once by content: what is there already is not sent again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.cloud.session import CloudSession
from helpers.common import WorkshopError, progress_bar

CONTENT, MARK = "content", "whole"  # the mark is written last: without it an upload was cut off
CHUNK = 1 << 20  # bytes read at once


def files_of(folder: Path) -> list[Path]:
    """Returns the files below a folder, sorted, without hidden ones.

    Raises:
        WorkshopError: there is no file.
    """
    folder = Path(folder)
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise WorkshopError(f"expected files to upload in {folder}, found none. Make them first.")
    return found


def digest(folder: Path, paths: Iterable[Path]) -> str:
    """Returns a name for the content of files and their places: 16 hexadecimal digits."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                whole.update(piece)
    return whole.hexdigest()[:16]


def upload_folder(session: CloudSession, folder: Path, name: str) -> str:
    """Sends a folder to S3 under a name made of its content.

    Args:
        session: where to.
        folder: what to send.
        name: for people; a part of the address.

    Returns:
        The address (`s3://...`), the same for the same content.

    Raises:
        WorkshopError: the folder is empty.
    """
    folder = Path(folder)
    paths = files_of(folder)
    place = session.uri("data", name, digest(folder, paths))
    uri = f"{place}/{CONTENT}"
    prefix = place.removeprefix(f"s3://{session.bucket}/")
    session.ledger.add("s3 prefix", place, session.region)
    if _is_there(session, f"{prefix}/{MARK}"):
        print(f"{uri} is there already: nothing is sent")
        return uri
    size = sum(path.stat().st_size for path in paths)
    _send(session, folder, paths, prefix)
    print(f"sent {len(paths)} files, {size / 1e6:.1f} MB, to {uri}")
    return uri


def _is_there(session: CloudSession, key: str) -> bool:
    found = session.client("s3").list_objects_v2(Bucket=session.bucket, Prefix=key)
    return found["KeyCount"] > 0


def _send(session: CloudSession, folder: Path, paths: list[Path], prefix: str) -> None:
    s3: Any = session.client("s3")
    size = sum(path.stat().st_size for path in paths)
    with progress_bar(total=size, unit="B", unit_scale=True, desc=f"sending {folder.name}") as bar:
        for path in paths:
            key = f"{prefix}/{CONTENT}/{path.relative_to(folder).as_posix()}"
            s3.upload_file(str(path), session.bucket, key, Callback=bar.update)
    # beside the data, not in it: a job's channel would get it as well
    s3.put_object(Bucket=session.bucket, Key=f"{prefix}/{MARK}", Body=b"")
