"""A folder to S3, once by content: what is there already is not sent again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from helpers.cloud.session import CloudSession
from helpers.common import digest, expected, progress_bar

CONTENT, MARK = "content", "whole"  # the mark is written last: without it an upload was cut off


def files_of(folder: Path) -> list[Path]:
    """Returns the files below a folder, sorted, without hidden ones; there must be one."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = sorted(f for f in files if "/." not in f"/{f.relative_to(folder).as_posix()}")
    if not found:
        raise expected(f"files to upload in {folder}", "none", "Make them first.")
    return found


def name_of(folder: Path, paths: Iterable[Path]) -> str:
    """Returns a name for the content of files and their places: 16 hexadecimal digits."""
    sums = [f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    return hashlib.sha256("".join(sums).encode()).hexdigest()[:16]


def upload_folder(session: CloudSession, folder: Path, name: str) -> str:
    """Sends a folder to S3; returns its address, which is the same for the same content."""
    folder, s3 = Path(folder), session.client("s3")
    paths = files_of(folder)
    place = session.uri("data", name, name_of(folder, paths))
    uri, prefix = f"{place}/{CONTENT}", place.removeprefix(f"s3://{session.bucket}/")
    session.note("s3 prefix", place)
    if s3.list_objects_v2(Bucket=session.bucket, Prefix=f"{prefix}/{MARK}")["KeyCount"]:
        print(f"{uri} is there already: nothing is sent")
        return uri
    size = sum(path.stat().st_size for path in paths)
    with progress_bar(total=size, unit="B", unit_scale=True, desc=f"sending {folder.name}") as bar:
        for path in paths:
            key = f"{prefix}/{CONTENT}/{path.relative_to(folder).as_posix()}"
            s3.upload_file(str(path), session.bucket, key, Callback=bar.update)
    # beside the data, not in it: a job's channel would get it as well
    s3.put_object(Bucket=session.bucket, Key=f"{prefix}/{MARK}", Body=b"")
    print(f"sent {len(paths)} files, {size / 1e6:.1f} MB, to {uri}")
    return uri
