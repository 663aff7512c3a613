"""What must be true of the book's sources: notebooks, exports, addresses, docstrings, figures in prose."""

import ast
import dataclasses
import functools
import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import address
import export
import nbformat
import pytest
import twins
import yaml
from myst_nb.core.read import read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbclient import NotebookClient
from packaging.requirements import Requirement

import serlib
from serlib import corpora, runs

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAPERS = [path for path in NOTEBOOKS if path.stem[0].isdigit()]  # the others, f1 and so on, are the foundations
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
COMPARED = "nbval-check-output"
IMAGES = {"image/png", "image/jpeg", "image/svg+xml", "image/gif"}

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
each_text = pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.stem)


def cells_of(path: Path, kind: str = "code") -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def outputs_of(path: Path) -> list[nbformat.NotebookNode]:
    return [output for cell in cells_of(path) for output in cell.outputs]


def text_of(output: nbformat.NotebookNode) -> str:
    """Everything in an output that is text, HTML included, without embedded sounds and pictures."""
    data = output.get("data", {})
    text = "\n".join([output.get("text", ""), *(str(value) for key, value in data.items() if key not in IMAGES)])
    return re.sub(r"data:[\w/+-]+;base64,[A-Za-z0-9+/=]+", "", text)


def prose_of(path: Path) -> str:
    """What a reader reads as text: a page, or a notebook's text cells, without code blocks and comments."""
    text = path.read_text("utf-8")
    if path.suffix == ".ipynb":
        text = "\n\n".join(cell.source for cell in cells_of(path, "markdown"))
    return re.sub(
        r"^(```+|~~~+)(?!\{(note|tip|warning|admonition|table|figure|image)).*?^\1\s*$|<!--.*?-->",
        "",
        text,
        flags=re.M | re.S,
    )


# Pages with examples

EXECUTED = [page for page in PAGES if "file_format: mystnb" in page.read_text("utf-8")[:200]]


def test_the_pages_with_examples_are_executed():
    assert {
        "start",
        "your_corpus",
        "which_iemocap",
        "which_corpora",
        "how_it_is_built",
        "verdict",
        "people",
        "course",
    } == {page.stem for page in EXECUTED}


@pytest.mark.parametrize("path", EXECUTED, ids=lambda path: path.stem)
def test_the_examples_of_a_page_run(path):
    page = read_myst_markdown_notebook(path.read_text("utf-8"), MdParserConfig())
    NotebookClient(page, timeout=300, startup_timeout=300, kernel_name="python3").execute()  # raises where a cell does
    outputs = [output for cell in page.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(outputs) >= 1 and [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|var|opt)/", "\n".join(map(text_of, outputs)))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_chapter_gives_its_verdicts_and_one_page_shows_them(path):
    """Else a claim of a paper could be passed over, or be judged without a record or a reason."""
    chapter = re.search(r"#\| default_exp (\w+)", path.read_text("utf-8"))[1]
    claims = importlib.import_module(f"serlib.papers.{chapter}").VERDICTS
    assert len(claims) >= 3 and len({each.claim for each in claims}) == len(claims)
    for each in claims:
        assert each.here in ("holds", "does not hold", "cannot be told"), each.claim
        assert each.evidence and (each.records or each.here == "cannot be told"), each.claim
        each.files()  # raises where a pattern finds none
    assert f"verdicts({chapter}.VERDICTS)" in (ROOT / "book" / "verdict.md").read_text("utf-8")


# The notebooks as committed


def test_there_are_notebooks_and_the_book_shows_each():
    toc = (ROOT / "_toc.yml").read_text("utf-8")
    assert PAPERS and {path.stem[0] for path in NOTEBOOKS} - {path.stem[0] for path in PAPERS} <= {"f"}
    assert [path.stem for path in NOTEBOOKS if f"notebooks/{path.stem}\n" not in toc] == []


def test_a_foundation_exports_nothing():
    """Else a module of serlib.papers would be no paper's, and have neither records nor a claim to judge."""
    exporting = {path.stem for path in NOTEBOOKS if "#| default_exp" in path.read_text("utf-8")}
    assert exporting == {path.stem for path in PAPERS}


@each_notebook
def test_every_cell_was_run_once_and_in_order(path):
    counts = [cell.execution_count for cell in cells_of(path) if cell.source.strip()]
    assert counts == list(range(1, len(counts) + 1)), "make run executes the notebooks for committing"


@each_notebook
def test_at_least_ten_outputs_are_compared(path):
    compared = [cell for cell in cells_of(path) if COMPARED in cell.metadata.get("tags", [])]
    empty = [cell.id for cell in compared if not any(text_of(output).strip() for output in cell.outputs)]
    assert empty == [], "these cells are tagged for comparison and have no text to compare"
    assert len(compared) >= 10


@each_notebook
def test_no_output_is_an_error_a_warning_a_progress_bar_or_a_path_of_one_machine(path):
    assert [o.output_type for o in outputs_of(path) if o.output_type == "error"] == []
    assert [o.text for o in outputs_of(path) if o.get("name") == "stderr"] == []
    text = "\n".join(map(text_of, outputs_of(path)))
    for unwanted in (
        r"Warning\b",
        r"it/s\]",
        r"\d+%\|",
        r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|var|opt)/",
        r"\b[A-Z]:\\",
    ):
        assert re.findall(unwanted, text) == []
    assert "application/vnd.jupyter.widget-view+json" not in {
        mime for o in outputs_of(path) for mime in o.get("data", {})
    }


@each_notebook
def test_the_notebook_is_small_and_its_metadata_say_nothing_of_a_machine(path):
    notebook = nbformat.read(path, as_version=4)
    assert path.stat().st_size < 1.5e6
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert [cell.id for cell in notebook.cells if "execution" in cell.metadata] == []
    nbformat.validate(notebook)


@each_notebook
def test_every_picture_in_an_output_has_alt_text(path):
    for cell in cells_of(path):
        for output in cell.outputs:
            for mime in IMAGES & set(output.get("data", {})):
                assert output.metadata.get(mime, {}).get("alt", "").strip(), (
                    f"cell {cell.id}: draw with plots.show(fig, alt=…)"
                )
            images = re.findall(r"<img\b[^>]*>", "".join(output.get("data", {}).get("text/html", "")))
            assert [image[:80] for image in images if not re.search(r"""\balt=["'][^"']""", image)] == []


@each_text
def test_every_picture_in_text_has_alt_text(path):
    prose = prose_of(path)
    assert re.findall(r"!\[\s*\]\([^)]*\)", prose) == []
    assert [image for image in re.findall(r"<img\b[^>]*>", prose) if not re.search(r"""\balt=["'][^"']""", image)] == []
    options = re.findall(r"^(?:`{3,}|:{3,})\{(?:image|figure)\}.*?\n(.*?)^(?:`{3,}|:{3,})", prose, flags=re.M | re.S)
    assert [block for block in options if not re.search(r"^:alt:\s*\S", block, flags=re.M)] == []


@each_notebook
def test_a_solution_is_folded_wherever_the_notebook_is_opened(path):
    """Else whoever opens the notebook in Colab would read the solution before the exercise."""
    solutions = [cell for cell in cells_of(path) if "hide-cell" in cell.metadata.get("tags", [])]
    assert solutions
    for cell in solutions:
        assert (cell.metadata["jupyter"], cell.metadata["cellView"]) == ({"source_hidden": True}, "form"), cell.id


# A notebook alone, in Colab

TEMPLATE = ROOT / "serlib" / "course" / "chapter.ipynb"
LAUNCHED = [*NOTEBOOKS, TEMPLATE, *sorted((ROOT / "book" / "twins").glob("*.ipynb"))]
each_that_launches = pytest.mark.parametrize("path", LAUNCHED, ids=lambda path: path.stem)
MYST = {
    "a directive": r"^[ \t]*(?:`{3,}|:{3,}|~{3,})[ \t]*\{",
    "a role": r"\{[a-z][\w:-]*\}`",
    "a label": r"^\([\w-]+\)=",
    "a comment": r"^%",
    "a footnote": r"\[\^",
}


def bare(path: Path) -> list[tuple[str, str]]:
    """What of a notebook's text Colab would show raw, or lead nowhere: (cell, what)."""
    found = []
    for cell in cells_of(path, "markdown"):
        text = re.sub(r"^```\w*\n.*?^```$|(?<!`)`[^`\n]+`(?!`)", "", cell.source, flags=re.M | re.S)
        found += [(cell.id, what) for what, pattern in MYST.items() if re.search(pattern, cell.source, flags=re.M)]
        targets = re.findall(r"\]\(([^)\s]+)", text) + re.findall(r"(?:href|src)=[\"']([^\"']+)", text)
        found += [(cell.id, target) for target in targets if not target.startswith("https://")]
    return found


@each_that_launches
def test_a_notebook_reads_well_in_colab(path):
    """Else Colab would show the book's own syntax raw, or a link would lead nowhere: there is no folder around it."""
    assert bare(path) == [], "write plain Markdown, and the book's public address in links: the build makes them local"


def test_what_colab_shows_raw_is_found(tmp_path):
    """Else the test above could not fail."""
    raw = ["```{note}\nx\n```", ":::{tip}\n:::", "{cite}`x`", "(here)=\n# A", "[a](b.md)", "![a](b.svg)", "[a](#b)"]
    fine = ["[a](https://x.org/b)", "```python\nf[0](x)\n```", "`[a](b)`", "$a_{i}$ and 5 %"]
    cells = [nbformat.v4.new_markdown_cell(text, id=f"n{n}") for n, text in enumerate([*raw, *fine])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    assert {cell for cell, _ in bare(tmp_path / "a.ipynb")} == {f"n{n}" for n in range(len(raw))}


@each_that_launches
def test_a_notebook_asks_for_the_library_of_its_own_version(path):
    """Else an old notebook would get today's library, and stop at the first name that has changed."""
    first, form = cells_of(path)[:2]
    assert re.findall(r"v\d+\.\d+[\w.]*", first.source) == 2 * [f"v{serlib.__version__}"]
    assert form.source.startswith("# @title") and form.metadata["cellView"] == "form"


def test_every_notebook_offers_the_same_choices():
    """Else a field of the form would do nothing in one of them, or offer what is refused."""
    (form,) = {cells_of(path)[1].source for path in LAUNCHED}
    choices = {
        name: ast.literal_eval(found) for name, found in re.findall(r'^(\w+) = ""  # @param (\[.*?\])', form, re.M)
    }
    assert choices.keys() == {"corpus", "profile", "device", "precision"}
    assert all(found[0] == "" for found in choices.values()), "an empty field leaves what the shell says"
    assert {*choices["corpus"]} - {""} <= {*corpora.OPEN_CORPORA}
    assert "setup(corpus=corpus, profile=profile, device=device, precision=precision)" in form


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_lesson_trains_for_a_time(path, monkeypatch):
    """Else profile `lesson` would stop after a few updates as quick does, take a day, or stop at a name."""
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    chapter = re.search(r"#\| default_exp (\w+)", path.read_text("utf-8"))[1]
    names = vars(importlib.import_module(f"serlib.papers.{chapter}")) | {"serlib": serlib, "dataclasses": dataclasses}
    (cell,) = (cell for cell in cells_of(path) if "\nlesson = " in cell.source)
    steps = [node for node in ast.parse(cell.source).body if isinstance(node, ast.Assign)]
    until = [node.targets[0].id for node in steps if isinstance(node.targets[0], ast.Name)].index("schedule")
    exec(compile(ast.Module(steps[:until], []), path.stem, "exec"), names := dict(names))
    lesson, quick = names["lesson"], names["first_steps"]
    assert type(lesson) is names["Schedule"] and 1 < lesson.minutes <= 5 and lesson.most_updates is None
    assert lesson.epochs > 10 > quick.epochs and quick.minutes is None and names["Schedule"]().minutes is None


@pytest.mark.parametrize("page", EXECUTED, ids=lambda path: path.stem)
def test_a_page_with_examples_has_a_twin_for_colab(page):
    """Else the rocket of a page would open what the page said once, or nothing."""
    written = ROOT / "book" / "twins" / f"{page.stem}.ipynb"
    if page.stem in twins.HERE_ONLY:
        assert not written.exists()
    else:
        twin = nbformat.writes(twins.twin_of(page, ROOT))
        assert written.exists() and json.loads(twin) == json.loads(written.read_text("utf-8")), "make export writes it"


# The library that is written from the notebooks


def test_exporting_again_changes_nothing(tmp_path):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "serlib" / "papers").mkdir(parents=True)
    assert export.export_all(tmp_path)
    written = {p.name: p.read_bytes() for p in (tmp_path / "serlib" / "papers").glob("*.py")}
    committed = {p.name: p.read_bytes() for p in (ROOT / "serlib" / "papers").glob("*.py")}
    committed.pop("__init__.py", None)
    assert written.keys() == committed.keys()
    assert [name for name in written if written[name] != committed[name]] == [], "make export writes serlib/papers"


MODULES = sorted(p for p in (ROOT / "serlib").rglob("*.py") if p.name != "__init__.py")


def public_names(path: Path) -> list[tuple[str, str]]:
    """(name, docstring) of each public function and class that a module defines."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [n for n in ast.parse(path.read_text("utf-8")).body if isinstance(n, kinds) and not n.name.startswith("_")]
    return [(node.name, ast.get_docstring(node) or "") for node in nodes]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_public_name_is_documented_and_names_the_page_that_explains_it(path):
    written_from_a_page = path.parent.name == "papers"
    for name, docstring in public_names(path):
        assert docstring.strip(), f"{name} has no docstring"
        pages = re.findall(r"\bPage: (\w+/\w+)\.$", docstring)
        assert pages or written_from_a_page, f"{name}: the docstring should end in 'Page: notebooks/01.' or the like"
        found = [len([*ROOT.glob(f"{page}*.ipynb"), *ROOT.glob(f"{page}*.md")]) for page in pages]
        assert set(found) <= {1}, f"{name} names a page that is not there, or more than one"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_is_longer_than_a_stranger_reads(path):
    """Else nobody would find in a minute the place to change; a paper's is as long as its chapter."""
    assert path.parent.name == "papers" or len(path.read_text("utf-8").splitlines()) <= 300


def test_the_reference_lists_every_module():
    assert MODULES
    listed = re.findall(r"automodule:: (serlib[\w.]*)", (ROOT / "book" / "reference.md").read_text("utf-8"))
    there = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES]
    assert sorted(listed) == sorted(there)


# Addresses, versions, references


def test_the_address_is_the_same_everywhere():
    own = address.address(ROOT)
    places = address.places(ROOT, own)
    needed = {
        "_config.yml",
        "README.md",
        "CITATION.cff",
        "pyproject.toml",
        *(f"notebooks/{p.name}" for p in NOTEBOOKS),
    }
    assert needed - places.keys() == set(), "make address URL=… changes the address everywhere"
    owner_and_name = own.removeprefix("https://github.com/")
    for path in address.files(ROOT):
        text = path.read_text("utf-8")
        launched = re.findall(r"colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)/blob/main/([\w./-]+)", text)
        assert {repository for repository, _ in launched} <= {owner_and_name}, path
        assert [target for _, target in launched if not (ROOT / target).is_file()] == [], path
    for path in NOTEBOOKS:
        named = [match[0] for cell in cells_of(path) for match in address.ADDRESS.finditer(cell.source)]
        assert {name.removesuffix(".git") for name in named} == {own}, f"{path}: the set-up cell"
    repository = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["repository-code"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert (repository, project["Repository"]) == (own, own)


def test_changing_the_address_changes_every_form_and_nothing_else(tmp_path):
    own = address.address(ROOT)
    for path in address.files(ROOT):
        (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    before = address.places(tmp_path, own)
    address.change(tmp_path, "https://github.com/Some-One/new.name/")
    assert address.address(tmp_path) == "https://github.com/Some-One/new.name"
    assert address.places(tmp_path, "https://github.com/Some-One/new.name") == before
    assert address.places(tmp_path, own) == {}
    address.change(tmp_path, own)
    for path in address.files(ROOT):
        assert (tmp_path / path.relative_to(ROOT)).read_text("utf-8") == path.read_text("utf-8")
    with pytest.raises(ValueError, match="OWNER/NAME"):
        address.change(tmp_path, "https://example.org/book")


def locked() -> list[Requirement]:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def test_the_lock_is_exact_and_satisfies_the_lower_bounds():
    lock = {requirement.name: requirement for requirement in locked()}
    assert len(lock) == len(locked()) > 100
    inexact = [str(r) for r in locked() if not re.fullmatch(r"==[\w.]+", str(r.specifier)) or r.url or r.extras]
    assert inexact == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *sum(project["project"]["optional-dependencies"].values(), []),
    ]
    bounds = [Requirement(line) for line in wanted]
    assert [str(r) for r in bounds if not re.fullmatch(r">=[\w.]+", str(r.specifier))] == [], "lower bounds only"
    developers = [Requirement(line) for group in project["dependency-groups"].values() for line in group]
    for requirement in [*bounds, *developers]:
        version = str(lock[requirement.name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}"
    assert str(lock["torch"].specifier) == "==2.13.0"
    assert [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))] == [], "torch pins these itself"


TEXT_FILES = {".py", ".md", ".ipynb", ".toml", ".txt", ".yml", ".bib", ".cff", ".css", ".json", ""}
CACHES = {"__pycache__", ".ruff_cache", ".pytest_cache", ".hypothesis", ".ipynb_checkpoints"}
FOREIGN = re.compile(
    r"(?<![\w.])/(?:home|root|work|Users)/\w|\b[A-Z]:\\Users|\bpypi\.\w|pythonhosted|index-url|find-links"
)


def test_no_file_holds_a_registry_or_a_path_of_one_machine():
    folders = ("serlib", "book", "notebooks", "tests", ".ci", ".github")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix in TEXT_FILES]
    files = [p for p in [*files, *(p for p in ROOT.iterdir() if p.is_file())] if not CACHES & set(p.parts)]
    assert len(files) > 20
    found = {p.name: FOREIGN.findall(p.read_text("utf-8", errors="ignore")) for p in files if p != Path(__file__)}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_every_reference_can_be_looked_up():
    entries = re.split(r"^@", (ROOT / "book" / "references.bib").read_text("utf-8"), flags=re.M)[1:]
    assert len(entries) > 10
    assert [
        entry.split(",")[0] for entry in entries if not re.search(r"^\s*(doi|url)\s*=\s*\{\S", entry, flags=re.M)
    ] == []


# A number stands in the prose only if a record holds it

FIGURE = re.compile(
    r"(?<![\w.,-])(?P<percent>\d+(?:\.\d+)?)\s*(?:\\?%|per ?cent\b|percentage points?\b|points?\b)"
    r"|(?<![\w.,/-])(?P<score>\d{2}\.\d{1,2})(?![\w.%]|\s*(?:m?s|k?Hz|dB|[kMG]i?B|min|h|M|hours?|minutes?|seconds?)\b)"
    r"|\bp\s*[=<>≈]\s*\$?(?P<p>0?\.\d+)"
)

#: Figures in prose that no run made, each with its reason, as {"95": "the level of every interval"}.
ALLOWED: dict[str, str] = {}


def figures_in(prose: str) -> set[str]:
    """Percentages, scores such as 71.75 and p-values in a text, as they are written."""
    prose = re.sub(r"\]\([^)]*\)|https?://\S+|`[^`\n]*`|<[^>\n]*>|\b10\.\d{4,}/\S+|\d{4}\.\d{4,5}", " ", prose)
    return {figure for match in FIGURE.finditer(prose) for figure in match.groups() if figure}


@functools.cache
def known_figures() -> set[str]:
    """Every figure that prose may name: of the reference records, the published tables, and the compared outputs."""
    records = [runs.read_record(path) for path in runs.REFERENCE.glob("*/**/*.json")]
    shares = [100 * value for record in records for value in sum(record.scores().values(), ())]
    shares += [100 * value for record in records for value in record.recalls().values()]
    known = {f"{share:.{digits}f}" for share in shares for digits in (0, 1)}
    for path in (ROOT / "serlib" / "papers").glob("*.py"):
        published = getattr(importlib.import_module(f"serlib.papers.{path.stem}"), "PUBLISHED", None)
        if published is not None:
            known |= {f"{value:.2f}" for value in published.to_numpy().ravel()}
    for path in NOTEBOOKS:
        for cell in cells_of(path):
            if COMPARED in cell.metadata.get("tags", []):
                known |= set(re.findall(r"\d+(?:\.\d+)?", " ".join(map(text_of, cell.outputs))))
    return known


@each_text
def test_every_figure_in_prose_has_a_record(path):
    unknown = figures_in(prose_of(path)) - known_figures() - ALLOWED.keys()
    assert unknown == set(), "no record or published table holds these figures: show them from a record, or drop them"


def test_figures_are_found_as_people_write_them():
    prose = "71.75 and 68.1, 79 % (79.3%), $p = 0.03$, 2.5 points, | 70.20 |, 12 per cent; Python 3.11, 25.6 ms"
    assert figures_in(prose) == {"71.75", "68.1", "79", "79.3", "0.03", "2.5", "70.20", "12"}
    assert (
        figures_in("[x](https://a.b/71.75) `71.75` 10.1007/978-3 arXiv 1711.01467 48.00 kHz version 71.75.1") == set()
    )
    assert figures_in("(71.75) **71.75** 71.75. 71.75, ~71.75") == {"71.75"}


def test_no_allowed_figure_is_left_over():
    used = set().union(*(figures_in(prose_of(path)) for path in [*PAGES, *NOTEBOOKS]))
    assert ALLOWED.keys() - used == set(), "drop what no page uses"


# nbval compares what it is said to compare


def test_a_changed_output_fails_where_the_cell_is_tagged(tmp_path):
    cells = []
    for printed, tags in (("2\n", [COMPARED]), ("3\n", [COMPARED]), ("3\n", [])):
        cells.append(nbformat.v4.new_code_cell("print(1 + 1)", execution_count=1, metadata={"tags": tags}))
        cells[-1].outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "scratch.ipynb")
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("\\\n", " ")
    options = re.search(r"^NBVAL := \$\(BIN\)/python (.*)$", makefile, flags=re.M)[1].split()
    command = [sys.executable, *options, "-v", str(tmp_path / "scratch.ipynb")]
    report = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert re.findall(r"Cell \d (PASSED|FAILED)", report) == ["PASSED", "FAILED", "PASSED"], report
