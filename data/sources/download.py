"""Downloads a public dataset, checks it and unpacks it: for people with a network.

    python -m data.sources.download gtsrb --out data/gtsrb

An archive that is there and whole is not fetched again, and a command that was stopped goes on.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pooch
import requests

from helpers.common import (
    WorkshopError,
    check_out,
    expected,
    extract,
    more,
    progress_bar,
    run_command,
)

ARCHIVES = "archives"  # folder below --out where the archives stay
CHUNK = 1 << 20  # bytes between two moves of a bar

# Source: https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/published-archive.html
BASE_URLS = {"gtsrb": "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"}
CHECKSUMS = {
    "gtsrb": {
        "GTSRB_Final_Training_Images.zip": "md5:513f3c79a4c5141765e10e952eaa2478",
        "GTSRB_Final_Test_Images.zip": "md5:c7e4e6327067d32654124b0fe9e82185",
        "GTSRB_Final_Test_GT.zip": "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    }
}
CITE = {
    "gtsrb": "Free to use; cite Stallkamp, Schlipsing, Salmen, Igel: The German Traffic Sign "
    "Recognition Benchmark, IJCNN 2011."
}


def download(
    name: str, out: Path, base_url: str | None = None, checksums: Mapping[str, str] | None = None
) -> Path:
    """Fetches, checks and unpacks the archives of a dataset; returns `out`.

    `base_url` is a mirror, or a test's server. `checksums` is the name of each archive to its
    checksum ("md5:..." or "sha256:..."), instead of the published ones.

    Raises:
        WorkshopError: No such dataset, no network, an archive with another checksum, or one that
            would write outside of `out`.
    """
    if name not in BASE_URLS:
        raise WorkshopError(f"expected one of {', '.join(BASE_URLS)}, found {name!r}.")
    base = (base_url or BASE_URLS[name]).rstrip("/")
    out = Path(out)
    for file, checksum in (checksums or CHECKSUMS[name]).items():
        extract(fetch(f"{base}/{file}", out / ARCHIVES / file, checksum), out)
    return out


def fetch(url: str, path: Path, checksum: str) -> Path:
    """Downloads a file, whole or not at all; one that is there with that checksum is kept.

    Raises:
        WorkshopError: It cannot be reached, or has another checksum.
    """
    pooch.get_logger().setLevel("ERROR")  # the bar shows what happens
    try:
        with progress_bar(total=1, unit="B", unit_scale=True, desc=path.name) as bar:
            downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=60)
            pooch.retrieve(url, checksum, path.name, path.parent, downloader=downloader)
    except requests.RequestException as error:
        answer = error.response is not None and f"the server answered {error.response.status_code}"
        found = f"no way to it ({answer or type(error).__name__})"
        get = f"get the file elsewhere and put it at {path}; then run this again."
        fix = f"Check the network, or {get}{more('proxy-and-certificates')}"
        raise expected(f"to download {url}", found, fix) from error
    except ValueError as error:  # pooch's word for another checksum
        found = "another file: it was cut off or changed, and was not kept"
        fix = "Run the command again; if it says the same, the place serves something else."
        raise expected(f"{url} with the checksum {checksum}", found, fix) from error
    return path


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        "python -m data.sources.download", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", choices=list(BASE_URLS), help="the dataset")
    parser.add_argument("--out", type=Path, required=True, help="the folder to unpack into")
    parser.add_argument("--base-url", help="a mirror that has the same archives")
    arguments = parser.parse_args()
    check_out(arguments.out, inside=True)
    out = download(arguments.name, arguments.out, arguments.base_url)
    print(f"unpacked {arguments.name} into {out}. {CITE[arguments.name]}")
    print(f"next: python -m data.sources {arguments.name} --root {out} --out manifest.csv")


if __name__ == "__main__":
    run_command(main)
