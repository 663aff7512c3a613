"""Open every page of the built book in headless Chromium; complain about what a reader would complain about.

Each page is opened wide and at phone width, light and dark, from a local server. It must log no error, ask no
other host for anything, find every file, not scroll sideways on the phone, have its equations rendered and
its players playing. Screenshots go to `_build/look`. Run it with `make look`, after `make book`.
"""

import contextlib
import functools
import http.server
import math
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
SHOTS = ROOT / "_build" / "look"
WIDTHS = {"wide": (1440, 900), "phone": (390, 844)}
PART = 2500  # pixels of a page on one picture
UNSEEN = ("genindex.html", "py-modindex.html", "search.html", "index.html")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--autoplay-policy=no-user-gesture-required",
]
SIDEWAYS = """() => {
    const page = document.scrollingElement;
    if (page.scrollWidth <= innerWidth) return null;
    const wide = [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3);
    return `${page.scrollWidth} px wide; ` + wide.map(e => `${e.tagName}.${e.className}`).join(", ");
}"""
UNRENDERED = """() => {
    const raw = document.querySelectorAll("span.math, div.math");
    return [...raw].filter(e => !e.querySelector("mjx-container"))
        .map(e => e.textContent.trim().slice(0, 60))
        .concat((document.querySelector("main").innerText.match(/\\$\\$.{0,40}/g) || []))
        .concat([...document.querySelectorAll("mjx-merror")].map(e => `error in ${e.textContent}`));
}"""
PLAY = """async player => {
    player.scrollIntoView();
    player.muted = true;
    try { await player.play(); } catch (error) { return `${error}`; }
    const start = player.currentTime;
    for (let wait = 0; wait < 40 && player.currentTime <= start; wait++)
        await new Promise(r => setTimeout(r, 50));
    const moved = player.currentTime > start, state = player.readyState;
    player.pause();
    return state >= 2 && moved ? null : `readyState ${state}, ${moved ? "plays" : "does not advance"}`;
}"""


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on a free local port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def look_at(context: BrowserContext, base: str, name: str, phone: bool, shot: Path) -> tuple[list[str], int, int]:
    """What is wrong with one page, and how many equations and players it has."""
    faults: list[str] = []
    page = context.new_page()
    page.on("console", lambda m: faults.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("requestfailed", lambda r: faults.append(f"request failed: {r.url[:100]} ({r.failure})"))
    page.on("response", lambda r: faults.append(f"{r.status} for {r.url[:100]}") if r.status >= 400 else None)
    here = urlsplit(base).netloc

    def stay_here(route):
        if urlsplit(route.request.url).netloc in ("", here):
            return route.continue_()
        faults.append(f"asks another host: {route.request.url[:100]}")
        return route.abort()

    page.route("**/*", stay_here)
    page.goto(f"{base}/{name}", wait_until="load")
    page.wait_for_function("() => !window.MathJax?.startup?.promise || window.MathJax.startup.promise.then(() => true)")
    page.wait_for_timeout(300)
    faults += [f"equation not rendered: {text}" for text in page.evaluate(UNRENDERED)]
    if phone and (wide := page.evaluate(SIDEWAYS)):
        faults.append(f"scrolls sideways: {wide}")
    players = page.query_selector_all("audio")
    for number, player in enumerate(players, 1):
        if fault := player.evaluate(PLAY):
            faults.append(f"player {number}: {fault}")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": PART})  # longer pictures lose equations
    for part in range(math.ceil(page.evaluate("document.scrollingElement.scrollHeight") / PART)):
        page.evaluate("top => scrollTo({top, behavior: 'instant'})", part * PART)
        page.wait_for_timeout(200)
        page.screenshot(path=shot.with_stem(f"{shot.stem}-{part + 1:02}"))
    equations = len(page.query_selector_all("mjx-container"))
    page.close()
    return faults, equations, len(players)


def main() -> int:
    """Look at every page in every way; the number of faults found."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("make look needs Chromium; install it (on Debian: apt-get install chromium).")
    pages = sorted(p.relative_to(HTML).as_posix() for p in HTML.rglob("*.html"))
    pages = [name for name in pages if name not in UNSEEN and not name.startswith(("_static", "_sphinx"))]
    if not pages:
        sys.exit(f"There is no book in {HTML}: run make book first.")
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    found = 0
    with serve(HTML) as base, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        for theme in ("light", "dark"):
            for width, (w, h) in WIDTHS.items():
                context = playwright.chromium.launch_persistent_context(
                    f"{profile}/{theme}-{width}",
                    executable_path=chromium,
                    args=FLAGS,
                    color_scheme=theme,
                    viewport={"width": w, "height": h},
                )
                for name in pages:
                    shot = SHOTS / f"{Path(name).stem}-{width}-{theme}.png"
                    faults, equations, players = look_at(context, base, name, width == "phone", shot)
                    found += len(faults)
                    summary = f"{equations} equations, {players} players"
                    print(f"{'FAULTY' if faults else 'ok':7}{name} ({width}, {theme}): {summary}")
                    print("".join(f"       {fault}\n" for fault in faults), end="")
                context.close()
    print(f"{len(pages)} pages, {found} faults. The pictures are in {SHOTS}")
    return found


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
