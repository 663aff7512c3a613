"""What is looked up: a glossary whose words lead to it, an index from equations to functions, times of sections."""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import run
from _ext import equations, glossary

ROOT = Path(__file__).parents[1]


FORMS = glossary.entries(glossary.GLOSSARY.read_text("utf-8"))


def test_the_glossary_has_some_sixty_terms_in_order_each_with_a_sentence():
    """Else a word would lead to nothing, or to a definition that nobody finds again on paper."""
    terms = [*dict.fromkeys(FORMS.values())]
    assert 55 <= len(terms) <= 70 and len({each.lower() for each in FORMS}) == len(FORMS)
    assert terms == sorted(terms, key=str.lower)
    block = glossary.GLOSSARY.read_text("utf-8").split("```{glossary}\n")[1].split("```")[0]
    for entry in block.strip().split("\n\n"):
        said = [line for line in entry.splitlines() if line.startswith("  ")]
        assert said and said[-1].rstrip().endswith((".", ")")), entry


NOTEBOOKS = [path for path in glossary.pages() if path.suffix == ".ipynb"]


def as_linked(path):
    """The links of a page: those that a notebook holds, or that a page gets when the book is built."""
    texts, address = glossary.texts_of(path)
    return glossary.uses("\n".join(texts if address else glossary.linked(texts, FORMS, None)), FORMS, address)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_s_words_lead_to_the_glossary_where_they_are_first_used(path):
    """Else a reader in Colab would meet a word that is taken for known."""
    texts, address = glossary.texts_of(path)
    new = [text for text, old in zip(glossary.linked(texts, FORMS, address), texts, strict=True) if text != old]
    assert new == [], f"python book/tools/_ext/glossary.py {path.relative_to(ROOT)} writes these links"


@pytest.mark.parametrize("path", glossary.pages(), ids=lambda path: path.stem)
def test_a_word_leads_there_once_a_page(path):
    """Else every sentence would be blue, or a link lead nowhere."""
    assert {term: count for term, count in as_linked(path).items() if count != 1 or term not in FORMS.values()} == {}


def test_each_term_is_used_somewhere():
    """Else the glossary would explain what no page says."""
    assert {*FORMS.values()} - {term for path in glossary.pages() for term in as_linked(path)} == set()


FEW = {"UAR": "UAR", "unweighted average recall": "UAR", "fold": "fold", "log-mel": "log-mel"}


def test_only_prose_is_linked_and_only_where_a_word_is_first():
    """Else code, formulas, headings and other links would be broken, or every sentence be blue."""
    texts = [
        "# The UAR\n\n| UAR |\n\n`UAR`, $UAR$, [the UAR](a.md), ![UAR](b.png)",
        "Folds, unfolds: the\nunweighted average\nrecall, UAR. A fold.",
    ]
    first, second = glossary.linked(texts, FEW, None)
    assert first == texts[0]
    said = "{term}`Folds <fold>`, unfolds: the\n{term}`unweighted average\nrecall <UAR>`, UAR. A fold."
    assert second == said
    assert glossary.linked([first, second], FEW, None) == [first, second]
    assert glossary.uses(second, FEW, None) == {"fold": 1, "UAR": 1}
    [outside] = glossary.linked(["A UAR"], FEW, "https://a.b/book/glossary.html")
    assert outside == "A [UAR](https://a.b/book/glossary.html#term-UAR)"


def test_a_notebook_s_links_stay_in_the_book():
    """Else a book that is read without the network would send its readers there."""
    term = "McNemar's test"
    text = f"By [McNemar's\ntest]({glossary.published()}#{glossary.slug(term)}) it is."
    env = SimpleNamespace(doc2path=lambda page: f"{page}.ipynb")
    source = [json.dumps({"cells": [{"cell_type": "markdown", "source": text.splitlines(keepends=True)}]})]
    glossary.make_terms(SimpleNamespace(env=env), "notebooks/f3", source)
    assert json.loads(source[0])["cells"][0]["source"] == "By {term}`McNemar's\ntest <McNemar's test>` it is."


def docstrings():
    for path in sorted((ROOT / "serlib").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield path, node.name, " ".join((ast.get_docstring(node) or "").split())


def test_each_equation_that_a_docstring_names_is_in_the_index():
    """Else whoever has the paper open would not find the function. Counted another way than the index does."""
    listed = {(name.rsplit(".", 1)[1], number) for (_, number), names in equations.index().items() for name in names}
    found = set()
    for _, name, text in docstrings():
        for after in re.split(r"[Ee]quations?(?= \d)", text)[1:]:
            digits = re.match(r"[\d ,]*(?:(?:and|to) [\d ,]*)*", after)[0]
            found |= {(name, int(number)) for number in re.findall(r"\d+", digits)}
    assert len(found) > 30 and found <= listed
    between = {(name, number) for name, number in listed - found}  # of "1 to 9" the index has 2 to 8 as well
    assert all((name, lower) in found for name, number in between for lower in [min(n for m, n in found if m == name)])


def test_ranges_and_other_papers_are_read_as_they_are_written():
    text = "Equations 1 to 3 and 5 of Zhao 2021. Liu et al. 2017, equation 7. Equation 6: its own."
    found = equations.equations_of(text, "Own 2020")
    assert found == [*(("Zhao 2021", n) for n in (1, 2, 3, 5)), ("Liu 2017", 7), ("Own 2020", 6)]


def test_every_paper_of_the_book_is_in_the_index():
    assert {paper for paper, _ in equations.index()} >= {"Li 2018", "Zhang 2019", "Jalal 2020", "Cai 2020", "Zhao 2021"}


def test_a_page_is_linked_when_the_book_is_built_and_the_glossary_not_to_itself():
    """Else pages would lead nowhere, or every entry to itself."""
    for page, suffix, said in (("start", ".md", "{term}`UAR`"), ("glossary", ".md", "UAR")):
        source = ["It has a UAR."]
        app = SimpleNamespace(env=SimpleNamespace(doc2path=lambda page, suffix=suffix: f"book/{page}{suffix}"))
        glossary.make_terms(app, page, source)
        assert source == [f"It has a {said}."]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_course_page_knows_what_each_section_takes(path):
    """Else a teacher would plan an evening with times of sections that are no more: make run measures them."""
    took = json.loads(run.SECONDS.read_text("utf-8"))[path.stem]
    assert [*took] == [*dict.fromkeys(run.sections(nbformat.read(path, as_version=4)))]
    assert all(isinstance(seconds, int) and seconds >= 0 for seconds in took.values()) and sum(took.values()) >= 1


def test_seconds_are_added_up_by_section(tmp_path, monkeypatch):
    """Else the last cell of a section would stand for all of it, or a notebook's times replace another's."""
    texts = ["# A", "## One\n\ntext", "## Two\n\n## Three", "more"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for text in texts])
    monkeypatch.setattr(run, "SECONDS", tmp_path / "seconds.json")
    for name in ("b", "a"):
        run.keep(Path(f"{name}.ipynb"), [1.4, 2.0, 3.0, 4.6], made)
    own = {"before the first heading": 1, "One": 2, "Three": 8}
    assert json.loads(run.SECONDS.read_text()) == {"a": own, "b": own}
