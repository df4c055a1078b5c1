"""Writes a page for every room of the package, from what its front door says."""

import re
from pathlib import Path

import helpers
from helpers.common import ROOT, write_text

ROW = re.compile(r"^(\w+) {2,}(.+?)(?: {3,}(.+))?$", re.MULTILINE)  # of the list in `helpers`

ROOM = """# {name}

```{{eval-rst}}
.. automodule:: helpers.{name}
   :members:{imported}
```
"""
IMPORTED = "\n   :imported-members:"  # what a front door names; a module has names of its own
INDEX = """# The rooms of the package

The notebooks import what is merely necessary from `helpers`. It has twelve rooms, in the order in
which the data passes through them; each has one front door, and a page here of the names behind it.
A room uses only those above it.

| room | what | what comes in, what goes out |
| --- | --- | --- |
{rows}

```{{toctree}}
:hidden:

{names}
```
"""


def rooms() -> dict[str, tuple[str, str]]:
    """Returns each room with what it is and what passes through it, as `helpers` lists them."""
    return {name: (what, flow or "") for name, what, flow in ROW.findall(helpers.__doc__)}


def write_rooms(folder: Path) -> list[Path]:
    """Writes the pages to `folder`; returns them, the list of the rooms first."""
    rows = [f"| [{name}]({name}.md) | {what} | {flow} |" for name, (what, flow) in rooms().items()]
    doors = {name: IMPORTED if (ROOT / "helpers" / name).is_dir() else "" for name in rooms()}
    texts = {name: ROOM.format(name=name, imported=text) for name, text in doors.items()}
    texts = {"index": INDEX.format(rows="\n".join(rows), names="\n".join(rooms())), **texts}
    for name, text in texts.items():
        write_text(folder / f"{name}.md", text)
    return [folder / f"{name}.md" for name in texts]
