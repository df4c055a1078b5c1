"""Opens notebooks in JupyterLab in Chromium, runs all cells, and says what a learner would see.

python -m tests.jupyterlab [--screenshots] [NOTEBOOK ...]

Size as everywhere: WORKSHOP_FAST=1 makes the runs small. A screenshot shows the cell with the tag
`screenshot`, or else the first image, and goes to images/screenshots/<notebook>.png.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import nbformat

from helpers.common import ROOT, WorkshopError, choose, run_command, whole_file

SCREENSHOTS = ROOT / "images" / "screenshots"
MAIN_LINE = sorted((ROOT / "notebooks").glob("0[1-4]_*.ipynb"))
TOKEN = "workshop"
START_SECONDS = 60  # for the server and for a kernel
RUN_SECONDS = choose(full=1800, fast=300)
WINDOW = {"width": 1280, "height": 900}

# Cells out of sight are not drawn in other modes, and could be neither counted nor read.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": '{"fetchNews": "false"}',
}

# JupyterLab draws a traceback as standard error with red in it; older ones as a type of its own.
ERRORS = (
    '[data-mime-type="application/vnd.jupyter.error"], '
    '[data-mime-type="application/vnd.jupyter.stderr"]:has(.ansi-red-fg)'
)

# The indicator says idle before a kernel is chosen, too.
READY = """() => {
  const name = document.querySelector('.jp-Toolbar-kernelName')?.textContent ?? 'No Kernel';
  const status = document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status;
  return document.querySelector('.jp-Notebook .jp-CodeCell') && name !== 'No Kernel'
    && status === 'idle'; }"""

FINISHED = """ERRORS => {
  const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')];
  const text = prompts.map(prompt => prompt.textContent);
  const failed = document.querySelector(ERRORS);
  const numbered = text.every(t => /\\[\\d+\\]/.test(t));
  return text.length && !text.some(t => t.includes('*')) && (numbered || failed); }"""


def find_chromium() -> str | None:
    """Returns the path of a Chromium or Chrome, `WORKSHOP_CHROMIUM` first; None where none is."""
    found = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return os.environ.get("WORKSHOP_CHROMIUM") or next(filter(None, found), None)


@dataclass(frozen=True)
class Seen:
    """What stood in the browser after all cells had run."""

    cells: int
    errors: list[str]
    images: int
    broken_images: int
    seconds: float


@contextmanager
def open_lab(notebooks: Sequence[Path]) -> Iterator[str]:
    """Starts JupyterLab on copies of the notebooks; gives its address, ends it in any case.

    Copies, because JupyterLab saves on its own and the committed notebooks keep no outputs.
    """
    with tempfile.TemporaryDirectory(prefix="jupyterlab-") as folder:
        root = _copy_project(notebooks, Path(folder) / "project")
        environment = _environment(Path(folder))
        address = f"http://127.0.0.1:{_free_port()}"
        with (Path(folder) / "server.log").open("w+") as log:
            server = subprocess.Popen(
                _command(root, address), env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                _wait_for(server, address, Path(log.name))
                yield address
            finally:
                _stop(server)


def _copy_project(notebooks: Sequence[Path], root: Path) -> Path:
    (root / "notebooks").mkdir(parents=True)
    for path in notebooks:
        shutil.copy(path, root / "notebooks")
    shutil.copytree(ROOT / "images", root / "images")  # the server does not follow links out
    return root


def _environment(folder: Path) -> dict[str, str]:
    for name, text in SETTINGS.items():
        path = folder / "config" / "lab" / "user-settings" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder / "home"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "config" / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(root: Path, address: str) -> list[str]:
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"),
        f"--port={address.rpartition(':')[2]}",
        "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={root}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def _wait_for(server: subprocess.Popen, address: str, log: Path) -> None:
    end = monotonic() + START_SECONDS
    while monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            sleep(0.3)
    last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
    raise WorkshopError(f"JupyterLab did not start within {START_SECONDS} s. It said:\n{last}")


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def open_browser() -> Iterator:
    """Starts the machine's Chromium without a window; gives a Playwright browser."""
    from playwright.sync_api import sync_playwright

    if not (chromium := find_chromium()):
        raise WorkshopError("expected Chromium, found none. Install it: apt-get install chromium")
    arguments = ["--disable-gpu", "--no-first-run", "--disable-background-networking"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")  # Chromium's sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def run_all_cells(browser, address: str, notebook: Path, screenshot: Path | None = None) -> Seen:
    """Opens one notebook, runs all its cells with the menu, and reads the page."""
    start = monotonic()
    page = browser.new_page(viewport=WINDOW)
    page.goto(f"{address}/lab/tree/notebooks/{notebook.name}?token={TOKEN}&reset")
    page.wait_for_function(READY, timeout=START_SECONDS * 1000)
    page.click('.lm-MenuBar-itemLabel:text-is("Run")')
    page.click('.lm-Menu-itemLabel:text-is("Run All Cells")')
    page.wait_for_function(FINISHED, arg=ERRORS, polling=300, timeout=RUN_SECONDS * 1000)
    page.wait_for_function(READY, timeout=START_SECONDS * 1000)
    seen = _read_page(page, monotonic() - start)
    if screenshot:
        _take_screenshot(page, notebook, screenshot)
    _shut_down_kernels(page, address)
    page.close()
    return seen


def _read_page(page, seconds: float) -> Seen:
    errors = page.locator(ERRORS).all_inner_texts()
    images = page.locator(".jp-Notebook img")
    broken = images.evaluate_all("all => all.filter(i => i.complete && !i.naturalWidth).length")
    return Seen(
        cells=page.locator(".jp-Notebook .jp-CodeCell").count(),
        errors=[text.strip()[-800:] for text in errors],
        images=page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").count(),
        broken_images=broken,
        seconds=seconds,
    )


def _take_screenshot(page, notebook: Path, target: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [i for i, cell in enumerate(cells) if "screenshot" in cell.metadata.get("tags", [])]
    shown = page.locator(".jp-Notebook .jp-Cell").nth(tagged[0]) if tagged else None
    if shown is None and page.locator(".jp-OutputArea-output img").count():
        shown = page.locator(".jp-Cell", has=page.locator(".jp-OutputArea-output img")).first
    page.keyboard.press("Control+b")  # the file browser takes a quarter of the window
    if shown is not None:
        shown.evaluate("cell => cell.scrollIntoView({block: 'center'})")
    page.mouse.move(0, 0)
    page.wait_for_timeout(800)  # the page settles
    with whole_file(target) as draft:
        page.screenshot(path=str(draft))


def _shut_down_kernels(page, address: str) -> None:
    """Gives the memory of a finished notebook back before the next one starts."""
    headers = {"Authorization": f"token {TOKEN}"}
    for session in page.request.get(f"{address}/api/sessions", headers=headers).json():
        page.request.delete(f"{address}/api/sessions/{session['id']}", headers=headers)


def main() -> None:
    """Runs the named notebooks, or 01 to 04, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: 01 to 04")
    parser.add_argument("--screenshots", action="store_true", help="save images/screenshots/")
    options = parser.parse_args()
    paths = options.notebooks or MAIN_LINE
    failed = []
    with open_lab(paths) as address, open_browser() as browser:
        for path in paths:
            target = SCREENSHOTS / f"{path.stem}.png" if options.screenshots else None
            seen = run_all_cells(browser, address, path, target)
            print(
                f"{path.stem}: {seen.cells} code cells, {len(seen.errors)} errors, "
                f"{seen.images} images, {seen.seconds:.0f} s"
            )
            failed += [f"{path.stem}: {error}" for error in seen.errors]
    if failed:
        raise WorkshopError("cells failed in JupyterLab:\n" + "\n".join(failed))


if __name__ == "__main__":
    run_command(main)
