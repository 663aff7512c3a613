"""Write `book/twins`: of each page with examples a notebook that Colab opens, in plain Markdown.

`make export` calls it. What only the book understands (citations, figures, cards) becomes ordinary links, pictures and
headings; addresses become the book's public ones; the set-up cells are those of a new chapter.
"""

import copy
import re
from pathlib import Path

import address
import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from pybtex.database import parse_file

ROOT = Path(__file__).resolve().parents[2]
HERE_ONLY = ("course",)  # reads the notebooks beside it


def twin_of(page: Path, root: Path) -> nbformat.NotebookNode:
    """The notebook of an executed page, without outputs."""
    public = "https://" + address.forms(address.address(root))[1][1]
    read = read_myst_markdown_notebook(page.read_text("utf-8"), MdParserConfig())
    title, _, rest = read.cells[0].source.partition("\n\n")
    title += f"\n\nA page of [the book]({public}/book/{page.stem}.html), as a notebook."
    template = nbformat.read(root / "serlib" / "course" / "chapter.ipynb", as_version=4)
    setup = [copy.deepcopy(cell) for cell in template.cells if cell.id in ("setup", "choose")]
    cells = [nbformat.v4.new_markdown_cell(title), *setup, nbformat.v4.new_markdown_cell(rest), *read.cells[1:]]
    names = citations(root / "book" / "references.bib")
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{number}")
        if cell not in setup:
            cell.id, cell.metadata = f"cell-{number}", nbformat.from_dict({})
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, names, public)
        else:
            cell.outputs, cell.execution_count = [], None
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def citations(bibliography: Path) -> dict[str, str]:
    """How each entry is cited in a sentence: authors and year."""
    cited = {}
    for key, entry in parse_file(str(bibliography)).entries.items():
        people = [" ".join(person.last_names) for person in entry.persons.get("author", [])]
        people = people[:1] + ["et al."] if len(people) > 2 else [" and ".join(people)]
        said = " ".join(filter(None, people)) or entry.fields.get("title", key)
        cited[key] = f"{said}, {entry.fields.get('year', '')}".replace("{", "").replace("}", "")
    return cited


def plain(text: str, cited: dict[str, str], public: str) -> str:
    """MyST as Markdown that any notebook shows."""

    def cite(found: re.Match) -> str:
        keys = found[1].split(",")
        return "; ".join(f"([{cited[key]}]({public}/book/bibliography.html))" for key in keys)

    def card(found: re.Match) -> str:
        return f"### [{found[1]}]({found[2]}.ipynb)"

    figure = r"^```\{figure\} (\S+)\n(.*?)\n\n(.*?)```$"
    text = re.sub(
        figure, lambda found: f"![{alt(found[2])}]({found[1]})\n\n{found[3].strip()}", text, flags=re.M | re.S
    )
    text = re.sub(r"\{cite\}`([\w,]+)`", cite, text)
    text = re.sub(r":::\{grid-item-card\} (.*)\n:link: (\S+)\n:link-type: doc", card, text)
    text = re.sub(r"^:{3,}(?:\{.*)?\n|^:\w+: .*\n|^\{bdg-.*\n", "", text, flags=re.M)
    return re.sub(r"\]\((?!https?:)([^)\s]+)\)", lambda found: f"]({lead(found[1], public)})", text)


def alt(options: str) -> str:
    """The alt text among a directive's options."""
    return re.search(r"^:alt: (.*)$", options, flags=re.M)[1]


def lead(target: str, public: str) -> str:
    """The public address of what a page of `book` links to."""
    path, hash_, anchor = target.partition("#")
    path = path.removeprefix("../") if path.startswith("../") else path if path.startswith("_") else f"book/{path}"
    return f"{public}/{re.sub(r'[.](md|ipynb)$', '.html', path)}{hash_}{anchor}"


def write_all(root: Path) -> list[Path]:
    """Write the twins of all executed pages; where they are."""
    pages = [p for p in sorted((root / "book").glob("*.md")) if "file_format: mystnb" in p.read_text("utf-8")[:200]]
    (root / "book" / "twins").mkdir(exist_ok=True)
    written = []
    for page in (page for page in pages if page.stem not in HERE_ONLY):
        written.append(root / "book" / "twins" / f"{page.stem}.ipynb")
        nbformat.write(twin_of(page, root), written[-1])
    return written
