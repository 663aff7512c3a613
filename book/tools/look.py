"""Open every page of the built book in headless Chromium; complain about what a reader would complain about.

Each page is opened wide and at phone width, light and dark, from a local server. It must log no error, ask no other
host for anything, find every file, not scroll sideways on the phone, have its equations rendered and its players
playing, show no directive as it is written, let every quiz be answered from the keyboard, and every text stand out
from its ground. The start page and every notebook have a player in their first screen, wide and on the phone. Every
page is reached by links from the first, and every link within the book leads to a page, and to a place on it.
Screenshots go to `_build/look`. Run it with `make look`, after `make book`; `look.py _build/committed/html wide light`
looks at another folder, or in one way only.
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

from playwright.sync_api import BrowserContext, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = next((Path(each).resolve() for each in sys.argv[1:] if Path(each).is_dir()), ROOT / "_build" / "html")
SHOTS = ROOT / "_build" / "look"
WIDTHS = {"wide": (1280, 720), "phone": (390, 844)}
THEMES = ("light", "dark")
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
CONTRAST = r"""() => {  // of each text to its ground, as WCAG 2.1 counts it (1.4.3, AA); of a formula, its colour
    const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true}), known = {};
    const read = colour => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        return [...paint.getImageData(0, 0, 1, 1).data];
    };
    const colour = text => known[text] ??= read(text);
    const over = ([r, g, b, alpha], under) => [r, g, b].map((c, i) => (c * alpha + under[i] * (255 - alpha)) / 255);
    const ground = e =>
        e ? over(colour(getComputedStyle(e).backgroundColor), ground(e.parentElement)) : [255, 255, 255];
    const bright = c => c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0.05);
    const opaque = e => e ? getComputedStyle(e).opacity * opaque(e.parentElement) : 1;
    document.querySelectorAll("details").forEach(e => e.open = true);
    document.querySelectorAll(".quiz .why").forEach(e => e.style.display = "block");
    const faults = {}, texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const holders = new Set(document.querySelectorAll("mjx-container"));
    while (texts.nextNode()) if (texts.currentNode.data.trim()) holders.add(texts.currentNode.parentElement);
    for (const e of holders) {
        const seen = e.checkVisibility({opacityProperty: true, visibilityProperty: true});
        if (!seen || e.closest("script, style, noscript, svg") || e.parentElement.closest("mjx-container")) continue;
        const style = getComputedStyle(e), under = ground(e), [r, g, b, alpha] = colour(style.color);
        const two = [bright(over([r, g, b, alpha * opaque(e)], under)), bright(under)].sort((x, y) => y - x);
        const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
        if (two[0] / two[1] < (large ? 3 : 4.5))
            faults[`${e.tagName}.${e.className}: ${style.color} on rgb(${under.map(Math.round)})`] ??=
                `${(two[0] / two[1]).toFixed(1)}, “${e.textContent.trim().slice(0, 40)}”`;
    }
    return Object.entries(faults).map(([where, what]) => `${where}: ${what}`);
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


RAW = r"""() => {
    const main = document.querySelector("main").cloneNode(true);
    for (const code of main.querySelectorAll("pre, code, script, style")) code.remove();
    const raw = /(:::+|`{3,})\s*\{?[\w-]*|\{(?:[a-z]+:)?[a-z]+\}`[^`]*`?|`[^`\n]+`|^:[a-z]+: .*$/gm;
    return main.textContent.match(raw) || [];
}"""
FIRST_SOUND = "() => scrollY + (document.querySelector('audio')?.getBoundingClientRect().bottom ?? Infinity)"
LINKS = """() => [...document.querySelectorAll("a[href]")]
    .filter(a => a.host === location.host && a.getAttribute("href") !== "#")
    .map(a => a.pathname + decodeURIComponent(a.hash))"""
PLACES = """() => [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name)"""
STAND_BEFORE = """quiz => {  // the last thing before the quiz that the keyboard reaches
    const all = [...document.querySelectorAll("a[href], button, input, summary, audio[controls], [tabindex='0']")];
    const follows = e => e.compareDocumentPosition(quiz) & Node.DOCUMENT_POSITION_FOLLOWING;
    const before = all.filter(e => !quiz.contains(e) && follows(e));
    while (before.length && document.activeElement !== before.at(-1)) {
        before.at(-1).focus();
        if (document.activeElement !== before.at(-1)) before.pop();
    }
}"""
ANSWERED = """quiz => {
    const options = [...quiz.querySelectorAll(".option")];
    const chosen = options.filter(o => o.querySelector("input").checked);
    const shows = options.filter(o => getComputedStyle(o.querySelector(".why")).display !== "none");
    return {number: chosen.length === 1 ? options.indexOf(chosen[0]) : null,
            right: chosen[0]?.classList.contains("right"), alone: shows.length === 1 && shows[0] === chosen[0]};
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


def answer_by_keyboard(page: Page) -> list[str]:
    """Answer each quiz with Tab, Space and the arrow keys, option by option; what went wrong."""
    faults = []
    for number, quiz in enumerate(page.query_selector_all("fieldset.quiz"), 1):
        quiz.evaluate(STAND_BEFORE)
        for _ in range(20):  # a player has several stops of its own, and a formula in a question is one
            page.keyboard.press("Tab")
            if quiz.evaluate(
                "quiz => quiz.contains(document.activeElement) && document.activeElement.type === 'radio'"
            ):
                break
        page.keyboard.press("Space")
        said = []
        for _ in quiz.query_selector_all(".option"):
            said.append(quiz.evaluate(ANSWERED))
            page.keyboard.press("ArrowDown")
        if [each["number"] for each in said] != [*range(len(said))] or not all(each["alone"] for each in said):
            faults.append(f"quiz {number}: the keyboard does not go through its options, each with its reason")
        elif [each["right"] for each in said].count(True) != 1:
            faults.append(f"quiz {number}: not one option is right")
    return faults


def crawled(links: dict[str, list[str]], places: dict[str, set[str]]) -> list[str]:
    """Which links lead nowhere, and which pages no link leads to, from the first one on."""
    faults, reached, todo = [], set(), ["/index.html"]
    while todo:
        here = todo.pop()
        if here in reached or here not in links:
            continue
        reached.add(here)
        for link in links[here]:
            path, _, place = link.partition("#")
            path = path + "index.html" * path.endswith("/")
            if path in places and place and place not in places[path]:
                faults.append(f"{here}: {link} leads to no place on that page")
            elif path not in places and not (HTML / path.lstrip("/")).is_file():
                faults.append(f"{here}: {link} leads nowhere")
            todo.append(path)
    return sorted({*faults}) + [f"{page}: no link leads to it" for page in sorted(links.keys() - reached)]


def look_at(
    context: BrowserContext, base: str, name: str, phone: bool, shot: Path
) -> tuple[list[str], str, list[str], set[str]]:
    """What is wrong with one page, what there is on it, where its links lead, and its places."""
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
    faults += [f"as it is written: {text[:60]}" for text in page.evaluate(RAW)]
    faults += answer_by_keyboard(page)
    links, places = page.evaluate(LINKS), {*page.evaluate(PLACES)}
    players = page.query_selector_all("audio")
    if name.startswith(("book/start", "notebooks/")) and page.evaluate(FIRST_SOUND) > page.viewport_size["height"]:
        faults.append("no player in the first screen")
    for number, player in enumerate(players, 1):
        if fault := player.evaluate(PLAY):
            faults.append(f"player {number}: {fault}")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": PART})  # longer pictures lose equations
    for part in range(math.ceil(page.evaluate("document.scrollingElement.scrollHeight") / PART)):
        page.evaluate("top => scrollTo({top, behavior: 'instant'})", part * PART)
        page.wait_for_timeout(200)
        page.screenshot(path=shot.with_stem(f"{shot.stem}-{part + 1:02}"))
    faults += [f"too little contrast: {text}" for text in page.evaluate(CONTRAST)]
    counts = {"equations": "mjx-container", "players": "audio", "questions": "fieldset.quiz"}
    there = ", ".join(f"{len(page.query_selector_all(what))} {word}" for word, what in counts.items())
    page.close()
    return faults, there, links, places


def main() -> int:
    """Look at every page in every way, and follow every link; the number of faults found."""
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
    links, places = {}, {}
    with serve(HTML) as base, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        for theme in [theme for theme in THEMES if theme in sys.argv] or THEMES:
            for width in [width for width in WIDTHS if width in sys.argv] or WIDTHS:
                w, h = WIDTHS[width]
                context = playwright.chromium.launch_persistent_context(
                    f"{profile}/{theme}-{width}",
                    executable_path=chromium,
                    args=FLAGS,
                    color_scheme=theme,
                    viewport={"width": w, "height": h},
                )
                context.set_default_timeout(180_000)  # where other work holds the processor, a long page is slow
                for name in pages:
                    shot = SHOTS / f"{Path(name).stem}-{width}-{theme}.png"
                    faults, there, out, own = look_at(context, base, name, width == "phone", shot)
                    links[f"/{name}"], places[f"/{name}"] = out, own
                    found += len(faults)
                    print(f"{'FAULTY' if faults else 'ok':7}{name} ({width}, {theme}): {there}", flush=True)
                    print("".join(f"       {fault}\n" for fault in faults), end="")
                context.close()
    followed = sum(map(len, links.values()))
    faults = crawled(links | {"/index.html": ["/book/start.html"]}, places)
    found += len(faults)
    print(f"{'FAULTY' if faults else 'ok':7}{followed} links within the book")
    print("".join(f"       {fault}\n" for fault in faults), end="")
    print(f"{len(pages)} pages, {found} faults. The pictures are in {SHOTS}")
    return found


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
