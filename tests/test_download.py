"""Downloads from a server on this machine: whole, checked, resumed, and never outside."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data.sources import download as module
from data.sources.download import download
from helpers.common import WorkshopError, extract

NAME = "GTSRB_Final_Test_GT.zip"


class Quiet(SimpleHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which it is served, on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    Quiet.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def archive(**files: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return data.getvalue()


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


def test_archives_are_fetched_checked_and_unpacked_once(served, tmp_path):
    folder, address = served
    one = archive(**{"GTSRB/Final_Test/a.csv": "a;b", "GTSRB/readme.txt": "hello"})
    two = archive(**{"GT-final_test.csv": "c;d"})
    (folder / "one.zip").write_bytes(one)
    (folder / "two.zip").write_bytes(two)
    checksums = {"one.zip": md5(one), "two.zip": md5(two)}
    out = tmp_path / "out"
    for _ in range(2):
        download("gtsrb", out, address, checksums)
    assert (out / "GTSRB" / "Final_Test" / "a.csv").read_text() == "a;b"
    assert (out / "GT-final_test.csv").read_text() == "c;d"
    assert Quiet.asked == ["/one.zip", "/two.zip"]  # the second time nothing is fetched


def test_a_wrong_checksum_keeps_nothing(served, tmp_path):
    folder, address = served
    (folder / NAME).write_bytes(archive(a="changed"))
    with pytest.raises(WorkshopError, match="found another file"):
        download("gtsrb", tmp_path / "out", address, {NAME: md5(b"as published")})
    assert not list((tmp_path / "out").rglob("*.*"))


def test_no_server_and_no_file_are_told(served, tmp_path):
    _, address = served
    with pytest.raises(WorkshopError, match="the server answered 404"):
        download("gtsrb", tmp_path / "out", address, {NAME: md5(b"")})
    with pytest.raises(WorkshopError, match="no way to it"):
        download("gtsrb", tmp_path / "out", "http://127.0.0.1:9", {NAME: md5(b"")})


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "..\\out.txt"])
def test_no_path_leaves_the_folder(tmp_path, name):
    path = tmp_path / "evil.zip"
    path.write_bytes(archive(**{"good.txt": "x", name: "y"}))
    with pytest.raises(WorkshopError, match="Nothing was unpacked"):
        extract(path, tmp_path / "deep" / "folder")
    assert not (tmp_path / "deep").exists()


def test_links_are_refused(tmp_path):
    path = tmp_path / "link.zip"
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    with pytest.raises(WorkshopError, match="plain files"):
        extract(path, tmp_path / "out")


def test_a_link_that_was_there_before_leads_nobody_outside(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(archive(**{"deep/file.txt": "x"}))
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "deep").symlink_to(tmp_path / "outside")
    with pytest.raises(WorkshopError, match="Nothing was unpacked"):
        extract(path, tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_unpacking_goes_on_where_it_was_stopped(tmp_path):
    path, out = tmp_path / "a.zip", tmp_path / "out"
    path.write_bytes(archive(**{"a/one.txt": "one", "a/two.txt": "two", "a/three.txt": "three"}))
    extract(path, out)
    time = (out / "a" / "one.txt").stat().st_mtime_ns
    (out / "a" / "two.txt").write_text("t")
    (out / "a" / "three.txt").unlink()
    extract(path, out)
    assert (out / "a" / "one.txt").stat().st_mtime_ns == time
    assert (out / "a" / "two.txt").read_text() == "two"
    assert sorted(file.name for file in (out / "a").iterdir()) == [
        "one.txt",
        "three.txt",
        "two.txt",
    ]


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(archive(a="b")[:-10])
    with pytest.raises(WorkshopError, match=r"a\.zip"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_the_published_checksums():
    assert module.CHECKSUMS["gtsrb"] == {
        "GTSRB_Final_Training_Images.zip": "md5:513f3c79a4c5141765e10e952eaa2478",
        "GTSRB_Final_Test_Images.zip": "md5:c7e4e6327067d32654124b0fe9e82185",
        "GTSRB_Final_Test_GT.zip": "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    }
