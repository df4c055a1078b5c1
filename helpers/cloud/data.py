"""A folder to S3, once by content: what is there already is not sent again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from helpers.cloud.session import CloudSession
from helpers.common import digest, expected, progress_bar


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
    folder, paths = Path(folder), files_of(Path(folder))
    uri = session.uri("data", name, name_of(folder, paths))
    prefix = uri.removeprefix(f"s3://{session.bucket}/")
    session.note("s3 prefix", uri)
    # S3 shows an object when it is whole, so only what a cut-off upload left out is missing
    objects = session.boto.resource("s3").Bucket(session.bucket).objects.filter(Prefix=f"{prefix}/")
    there = {item.key for item in objects}
    keys = {f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in paths}
    missing = {key: path for key, path in keys.items() if key not in there}
    size = sum(path.stat().st_size for path in missing.values())
    with progress_bar(total=size, unit="B", unit_scale=True, desc=f"sending {folder.name}") as bar:
        for key, path in missing.items():
            session.client("s3").upload_file(str(path), session.bucket, key, Callback=bar.update)
    print(f"sent {len(missing)} of {len(paths)} files, {size / 1e6:.1f} MB, to {uri}")
    return uri
