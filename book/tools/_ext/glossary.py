"""The glossary's links: the first use of each of its terms, on every page, leads to `book/glossary.md`.

A page gets them when the book is built. A notebook holds them, as addresses of the published glossary, which work in
Colab too: `make run` writes them, or `python book/tools/_ext/glossary.py`, which executes nothing. The book makes them
links to its own page.
"""

import json
import re
import sys
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[3]
GLOSSARY = ROOT / "book" / "glossary.md"
WITHOUT = ("glossary", "reference", "bibliography")  # pages that have no prose of their own
NO_PROSE = re.compile(
    r"^(?P<fence>`{3,}|~{3,}|:{3,}).*?^(?P=fence)`*:*\s*$|^---\n.*?^---$|^\|.*?$|^#.*?$|^ *:[\w-]+:.*?$"  # blocks
    r"|\$\$.*?\$\$|\$[^$\n]+\$|(?:\{[\w:-]+\})?`[^`]+`|<[^>\n]+>|!?\[[^\]]*\](?:\([^)]*\))+|!?\[\[?[^\]]*\]\([^)]*\)\]\([^)]*\)"
    r"|https?://\S+|\*[^*\s][^*]*\*(?=\. )",
    flags=re.M | re.S,
)


def entries(text: str) -> dict[str, str]:
    """Each form that a term has in the glossary, and the term itself: the first form of its entry."""
    block = re.search(r"^```\{glossary\}\n(.*?)^```$", text, flags=re.M | re.S)[1]
    found = {}
    for entry in re.split(r"\n\n", block.strip()):
        forms = [line for line in entry.splitlines() if not line.startswith(" ")]
        found |= dict.fromkeys(forms, forms[0])
    return found


def slug(term: str) -> str:
    """The anchor that Sphinx gives to a term."""
    return "term-" + re.sub(r"[^a-zA-Z0-9]+", "-", term).strip("-")


def pattern(form: str) -> re.Pattern:
    """A form as it stands in a sentence: plural too, over a line's end, with a capital."""
    words = r"\s+".join(map(re.escape, form.split()))
    if form[0].islower():
        words = f"[{form[0]}{form[0].upper()}]{words[1:]}"
    return re.compile(rf"(?<![\w/.@-]){words}(?:s|es)?(?![\w@-]|\.\w)")


def published(root: Path = ROOT) -> str:
    """The address of the published glossary."""
    owner, name = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"].split("/")[-2:]
    return f"https://{owner.lower()}.github.io/{name}/book/glossary.html"


def link(text: str, term: str, address: str | None) -> str:
    """A word that leads to the glossary: a role, or with an address a link to it."""
    if address:
        return f"[{text}]({address}#{slug(term)})"
    return f"{{term}}`{text}`" if text == term else f"{{term}}`{text} <{term}>`"


def uses(text: str, forms: dict[str, str], address: str | None) -> dict[str, int]:
    """Where a text leads to each term, and how often it does."""
    if address:
        found = re.findall(re.escape(address) + r"#(term-[\w-]+)", text)
    else:
        found = [slug(target or title) for title, target in re.findall(r"\{term\}`([^`<]+?)(?:\s*<([^>]+)>)?`", text)]
    by_slug = {slug(term): term for term in forms.values()}
    return {by_slug.get(each, each): found.count(each) for each in found}


def linked(texts: list[str], forms: dict[str, str], address: str | None) -> list[str]:
    """The texts of one page, in order, each term's first use in their prose made a link, unless it has one."""
    there = uses("\n".join(texts), forms, address)
    found = []
    for text in texts:
        kept = [(match.start(), match.end()) for match in NO_PROSE.finditer(text)]
        new = []
        for term in dict.fromkeys(forms.values()):
            own = [pattern(form) for form, of in forms.items() if of == term]
            hits = sorted((m.span() for each in own for m in each.finditer(text)), key=lambda span: (span[0], -span[1]))
            free = (span for span in hits if not any(span[0] < end and start < span[1] for start, end in kept))
            if term not in there and (span := next(free, None)):
                there[term] = 1
                kept.append(span)
                new.append((*span, term))
        for start, end, term in sorted(new, reverse=True):
            text = text[:start] + link(text[start:end], term, address) + text[end:]
        found.append(text)
    return found


def pages(root: Path = ROOT) -> list[Path]:
    """Every page and notebook whose words are linked."""
    texts = [path for path in sorted((root / "book").glob("*.md")) if path.stem not in WITHOUT]
    return texts + sorted((root / "notebooks").glob("*.ipynb"))


def texts_of(path: Path) -> tuple[list[str], str | None]:
    """The prose of a page, as a list, and the address that its links need, if it is a notebook."""
    if path.suffix == ".md":
        return [path.read_text("utf-8")], None
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"], published()


def link_cells(notebook: nbformat.NotebookNode) -> None:
    """Write the links into a notebook's text."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    texts = linked([cell.source for cell in cells], entries(GLOSSARY.read_text("utf-8")), published())
    for cell, text in zip(cells, texts, strict=True):
        cell.source = text


def make_terms(app, page, source):
    """Link a page's words; let a notebook's links to the published glossary be links to this book's."""
    path, forms = Path(app.env.doc2path(page)), entries(GLOSSARY.read_text("utf-8"))
    if path.suffix == ".md" and path.stem not in WITHOUT:
        source[0] = linked([source[0]], forms, None)[0]
    if path.suffix != ".ipynb":
        return
    terms = {slug(term): term for term in forms.values()}
    own = re.compile(rf"\[([^\]]+)\]\({re.escape(published())}#(term-[\w-]+)\)")
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            cell["source"] = own.sub(lambda found: link(found[1], terms[found[2]], None), text)
    source[0] = json.dumps(notebook)


def setup(app):
    """Connect the hook, before other links of a notebook are looked at."""
    app.connect("source-read", make_terms, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        link_cells(notebook)
        nbformat.write(notebook, path)
