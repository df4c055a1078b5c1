"""Archives that lead out, grow, lie or are damaged: nothing outside changes, and nothing hangs."""

from __future__ import annotations

import gzip
import io
import random
import signal
import stat
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from helpers.common import WorkshopError, extract
from tests.hostile import Tally, files_below

COUNT = 50
SECONDS = 20  # for one archive
OUTSIDE = "outside/precious.txt"


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    """A header of a tar."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size
    return found


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for member, content in members:
            member.size = member.size or len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def named(name: str, **more: object) -> bytes:
    return tar((info("1/saved_model.pb"), b"good"), (info(name), b"evil"), **more)


def through_link(link: tarfile.TarInfo) -> bytes:
    """The link first, then a file of the same name, then one below it."""
    again, below = info(link.name), info(f"{link.name}/precious.txt")
    return tar((link, b""), (again, b"evil"), (below, b"evil"))


def too_long_to_resolve(where: Path) -> bytes:
    """CVE-2025-4517: links whose real path is longer than the system resolves."""
    part, path, members = "d" * 247, "", []
    for letter in "abcdefghijklmnop":
        members += [(info(f"{path}{part}", tarfile.DIRTYPE), b"")]
        members += [(info(f"{path}{letter}", tarfile.SYMTYPE, part), b"")]
        path += f"{part}/"
    up = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    members += [(info(up, tarfile.SYMTYPE, "../" * 16), b"")]
    members += [(info("escape", tarfile.SYMTYPE, f"{up}/../outside"), b"")]
    members += [(info("escape/precious.txt"), b"evil")]
    return tar(*members)


def with_header(header: dict[str, str]) -> bytes:
    member = info("file.txt")
    member.pax_headers = header
    return tar((member, b"evil"))


def negative_size() -> bytes:
    """CVE-2025-8194: read backwards, for ever."""
    data = bytearray(named("file.txt"))
    data[124:136] = b"\xff" * 8 + struct.pack(">i", -1024)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # two of one name
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def special(mode: int, content: bytes = b"../outside/precious.txt") -> bytes:
    member = zipfile.ZipInfo("special")
    member.external_attr = mode << 16
    return zipped((member, content), ("special/precious.txt", b"evil"))


def bomb_in_a_header() -> bytes:
    """A name of two GB, which gzip packs into two MB; here a fortieth of it."""
    head = info("x", tarfile.GNUTYPE_LONGNAME, size=2**31).tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(head + bytes(50 * 2**20), 1)


def builders(where: Path) -> dict[str, Callable[[], bytes]]:
    """Every way to build an archive: its name ends as the file's does."""
    link, hard = tarfile.SYMTYPE, tarfile.LNKTYPE
    far, near = str(where / OUTSIDE), f"../{OUTSIDE}"
    return {
        "parent.tar": lambda: named(near),
        "parent.tar.gz": lambda: gzip.compress(named(f"a/../../{OUTSIDE}")),
        "absolute.tar": lambda: named(far),
        "gnu.tar": lambda: named(f"{'a/' * 99}{'../' * 100}{OUTSIDE}", form=tarfile.GNU_FORMAT),
        "symlink.tar": lambda: through_link(info("x", link, near)),
        "symlink_folder.tar": lambda: through_link(info("x", link, "../outside")),
        "symlink_absolute.tar": lambda: through_link(info("x", link, far)),
        "hardlink.tar": lambda: through_link(info("x", hard, near)),
        "hardlink_absolute.tar.gz": lambda: gzip.compress(through_link(info("x", hard, far))),
        "long_links.tar": lambda: too_long_to_resolve(where),
        "device.tar": lambda: tar((info("x", tarfile.CHRTYPE), b"")),
        "fifo.tar": lambda: tar((info("x", tarfile.FIFOTYPE), b"")),
        "sparse.tar": lambda: with_header({"GNU.sparse.size": str(2**60), "GNU.sparse.map": "0,4"}),
        "pax_path.tar": lambda: with_header({"path": near}),
        "pax_size.tar": lambda: with_header({"size": "-1024"}),
        "good_pax.tar": lambda: with_header({"size": "many", "mtime": "x"}),
        "negative.tar": negative_size,
        "header.tar.gz": bomb_in_a_header,
        "huge.tar": lambda: named("x")[:1024] + info("y", size=2**50).tobuf(),
        "chain.tar": lambda: info("x", tarfile.GNUTYPE_LONGNAME, size=1).tobuf() * 3000,
        "file_and_folder.tar": lambda: tar((info("a"), b"x"), (info("a/b"), b"y")),
        "control.tar": lambda: named("a\nb"),
        "bytes.tar": lambda: named("\udcff\udcfe"),
        "long_name.tar": lambda: named("n" * 300),
        "deep.tar": lambda: named("d/" * 3000 + "x"),
        "bomb.tar.gz": lambda: gzip.compress(tar((info("x"), bytes(90 * 2**20)))),
        "bomb.zip": lambda: zipped(("x", bytes(90 * 2**20))),
        "parent.zip": lambda: zipped(("good", b"x"), (near, b"evil")),
        "absolute.zip": lambda: zipped((far, b"evil")),
        "backslash.zip": lambda: zipped(("..\\outside\\precious.txt", b"evil")),
        "drive.zip": lambda: zipped(("C:/outside/precious.txt", b"evil")),
        "link.zip": lambda: special(stat.S_IFLNK | 0o777),
        "fifo.zip": lambda: special(stat.S_IFIFO | 0o666),
        "device.zip": lambda: special(stat.S_IFBLK | 0o666),
        "twice.zip": lambda: zipped(("a", b"1"), ("a", b"2")),
        "text.zip": lambda: b"I am a text",
        "empty.tar": lambda: b"",
        "good.tar.gz": lambda: gzip.compress(named("code/inference.py")),
        "good.zip": lambda: zipped(("a/one.txt", b"one"), ("a/two.txt", b"two")),
    }


def damage(data: bytes, chance: random.Random) -> bytes:
    """Flips some bits or cuts something off."""
    if not data or chance.random() < 0.3:
        return data[: chance.randrange(len(data) + 1)]
    spoiled = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        spoiled[chance.randrange(min(len(spoiled), 4096))] ^= 1 << chance.randrange(8)
    return bytes(spoiled)


def attempt(archive: Path, where: Path) -> str:
    """Unpacks; returns the outcome, see `Tally.add`."""

    def too_late(*_: object) -> None:
        raise TimeoutError

    before = files_below(where)
    old = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(SECONDS)
    try:
        extract(archive, where / "out")
        outcome = "ok"
    except WorkshopError:
        outcome = "refused"
    except TimeoutError:
        outcome = "hang"
    except Exception:
        outcome = "traceback"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
    written = [path for path in where.rglob("*") if path.is_relative_to(where / "out")]
    plain = all(stat.S_IFMT(p.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR) for p in written)
    after = {k: v for k, v in files_below(where).items() if Path(k) not in written}
    return outcome if plain and after == before else "outside"


def run(tally: Tally, count: int, seed: int) -> None:
    """Tries each kind of archive as it is, then damaged ones."""
    chance = random.Random(seed)
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            where = Path(folder).resolve()
            (where / "outside").mkdir()
            (where / OUTSIDE).write_text("precious")
            kinds = builders(where)
            name = list(kinds)[number % len(kinds)]
            data = kinds[name]()
            if number >= len(kinds):
                data = damage(data, chance)
            archive = where / name
            archive.write_bytes(data)
            tally.add(attempt(archive, where), f"archive {number} of seed {seed}, {name}")
