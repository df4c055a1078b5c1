"""A folder to S3, once by content: what is there already is not sent again."""

import hashlib
from pathlib import Path

from helpers.cloud.session import CloudSession
from helpers.common import digest, expected, progress_bar


def upload_folder(session: CloudSession, folder: Path, name: str) -> str:
    """Sends a folder to S3; returns its address, which is the same for the same content."""
    paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    files = {place: path for place, path in files.items() if "/." not in f"/{place}"}
    if not files:
        raise expected(f"files to upload in {folder}", "none", "Make them first.")
    sums = "".join(f"{digest(path)}  {place}\n" for place, path in files.items())
    uri = session.uri("data", name, hashlib.sha256(sums.encode()).hexdigest()[:16])
    session.note("s3 prefix", uri)
    bucket = session.boto.resource("s3").Bucket(session.bucket)
    prefix = uri.removeprefix(f"s3://{session.bucket}/")
    # S3 shows an object when it is whole, so only what a cut-off upload left out is missing
    there = {item.key for item in bucket.objects.filter(Prefix=f"{prefix}/")}
    missing = {key: path for p, path in files.items() if (key := f"{prefix}/{p}") not in there}
    size = sum(path.stat().st_size for path in missing.values())
    with progress_bar(total=size, unit="B", unit_scale=True, desc=f"sending {folder}") as bar:
        for key, path in missing.items():
            bucket.upload_file(str(path), key, Callback=bar.update)
    print(f"sent {len(missing)} of {len(files)} files, {size / 1e6:.1f} MB, to {uri}")
    return uri
