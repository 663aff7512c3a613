"""What must be true of the pages that a reader opens. `make test` builds them; BUILT_BOOK says where."""

import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import address
import nbformat
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
if "BUILT_BOOK" not in os.environ:
    pytest.skip("make test builds the book and checks it", allow_module_level=True)
HTML = ROOT / os.environ["BUILT_BOOK"]
PAGES = sorted(p for p in HTML.rglob("*.html") if not p.relative_to(HTML).parts[0].startswith("_"))

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text("utf-8"), "html.parser")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(
        tag.get("id") or tag.get("name") for tag in soup(page).find_all(lambda t: t.get("id") or t.get("name"))
    )


def built(path: Path) -> BeautifulSoup:
    return soup(HTML / path.relative_to(ROOT).with_suffix(".html"))


def is_local(link: str) -> bool:
    return not urlsplit(link).scheme and not urlsplit(link).netloc


def target(page: Path, link: str) -> Path:
    """The file that a local link on a page means."""
    path = unquote(urlsplit(link).path)
    return (page.parent / path).resolve() if path else page


def test_the_book_was_built():
    assert (HTML / "index.html").is_file(), f"there is no book in {HTML}"
    assert {
        f"{name}.html"
        for name in ("start", "which_corpora", "which_iemocap", "your_corpus", "iemocap", "reference", "bibliography")
    } <= {p.name for p in PAGES}
    assert NOTEBOOKS


@each_page
def test_every_image_has_alt_text(page):
    assert [str(image)[:120] for image in soup(page).find_all("img") if not image.get("alt", "").strip()] == []


@each_page
def test_nothing_is_loaded_from_elsewhere(page):
    loaded = [
        tag.get("src") for tag in soup(page).find_all(["script", "img", "audio", "video", "source", "iframe", "embed"])
    ]
    loaded += [tag["href"] for tag in soup(page).find_all("link") if "canonical" not in tag.get("rel", [])]
    loaded = [link for link in loaded if link and not link.startswith("data:")]
    assert [link for link in loaded if not is_local(link)] == []
    assert [link for link in loaded if not target(page, link).is_file()] == []


def test_no_style_sheet_loads_from_elsewhere():
    sheets = list(HTML.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        text = sheet.read_text("utf-8", errors="ignore")
        elsewhere = re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^)"']*""", text)
        assert elsewhere == [], sheet


@each_page
def test_no_page_tells_where_it_was_built(page):
    assert str(ROOT) not in page.read_text("utf-8")


@each_page
def test_every_local_link_leads_somewhere(page):
    for tag in soup(page).find_all("a", href=True):
        link = tag["href"]
        if not is_local(link) or link in ("", "#"):
            continue
        file, anchor = target(page, link), unquote(urlsplit(link).fragment)
        assert file.is_file(), link
        if anchor and file.suffix == ".html":
            assert anchor in anchors(file), link


@each_page
def test_every_player_has_its_sound(page):
    for player in soup(page).find_all("audio"):
        sources = [tag.get("src") for tag in [player, *player.find_all("source")] if tag.get("src")]
        assert sources, "a player without a sound"
        for source in sources:
            assert source.startswith("data:audio/") or (is_local(source) and target(page, source).is_file()), source[
                :80
            ]
            assert not source.startswith("data:") or len(source) > 1000, "a player with an empty sound"


@each_notebook
def test_a_chapter_shows_its_code_its_outputs_and_its_equations(path):
    cells = nbformat.read(path, as_version=4).cells
    tags = {cell.id: set(cell.metadata.get("tags", [])) for cell in cells}
    code = [
        c
        for c in cells
        if c.cell_type == "code" and c.source.strip() and not {"remove-input", "remove-cell"} & tags[c.id]
    ]
    outputs = [c for c in cells if c.get("outputs") and not {"remove-output", "remove-cell"} & tags[c.id]]
    shown = built(path)
    assert len(shown.select("div.cell div.cell_input")) == len(code) > 0
    assert len(shown.select("div.cell div.cell_output")) == len(outputs) > 0
    images = sum("image/png" in output.get("data", {}) for cell in outputs for output in cell.outputs)
    assert len(shown.select("div.cell_output img")) >= images
    assert len(shown.select("div.math, span.math")) > 0
    assert "$$" not in shown.find("main").get_text()


@each_notebook
def test_a_chapter_ends_in_a_quiz_that_a_keyboard_can_answer(path):
    """Else some readers could not answer, or choosing one option would undo another question's."""
    asked = built(path).find_all("fieldset", class_="quiz")
    assert len(asked) == 5 and all(each.legend.get_text(strip=True) for each in asked)
    names = []
    for each in asked:
        buttons = each.find_all("input", type="radio")
        assert [label["for"] for label in each.find_all("label")] == [button["id"] for button in buttons]
        assert len({button["name"] for button in buttons}) == 1 and len(each.find_all(class_="right")) == 1
        assert all(reason.get_text(strip=True) for reason in each.find_all(class_="why"))
        names.append(buttons[0]["name"])
    assert len({*names}) == 5


@each_notebook
def test_a_chapter_opens_in_colab(path):
    links = {tag["href"] for tag in built(path).find_all("a", href=True) if "colab.research.google.com" in tag["href"]}
    repository = address.address(ROOT).removeprefix("https://github.com/")
    own = f"https://colab.research.google.com/github/{repository}/blob/main/{path.relative_to(ROOT).as_posix()}"
    assert links == {own}


def test_what_a_page_opens_in_colab_is_there():
    """Else the rocket of a page would lead to a file that Colab cannot open: it opens notebooks alone."""
    repository = address.address(ROOT).removeprefix("https://github.com/")
    start, opened = f"https://colab.research.google.com/github/{repository}/blob/main/", {}
    for page in [page for page in PAGES if "notebooks" not in page.parts]:
        links = {tag["href"] for tag in soup(page).find_all("a", href=True) if "colab.research" in tag["href"]}
        opened |= dict.fromkeys([page.stem] if links else [], "".join(links).removeprefix(start))
    twins = {path.stem: f"book/twins/{path.name}" for path in (ROOT / "book" / "twins").glob("*.ipynb")}
    assert len(twins) > 5 and {page: link for page, link in opened.items() if page != "index"} == twins


def test_links_between_pages_stay_in_this_folder():
    """Else the book could not be read offline: notebooks name its public address, because in Colab they stand alone."""
    public = "https://" + address.forms(address.address(ROOT))[1][1] + "/"
    leaving = {}
    for page in PAGES:
        targets = [tag.get("href") or tag.get("src") or "" for tag in soup(page).find_all(["a", "img"])]
        leaving[page.name] = [target for target in targets if target.startswith(public)]
    assert {page: targets for page, targets in leaving.items() if targets} == {}


def test_equations_are_rendered_from_this_folder():
    scripts = [
        tag["src"] for path in NOTEBOOKS for tag in built(path).find_all("script", src=True) if "mathjax" in tag["src"]
    ]
    assert scripts


def test_every_page_can_be_searched_and_is_fit_for_the_dark():
    index = (HTML / "searchindex.js").read_text("utf-8")
    assert [path.stem for path in NOTEBOOKS if path.stem not in index] == []
    assert {soup(page).html["data-theme"] for page in PAGES if page.name != "index.html"} == {"auto"}
