"""`{equations}`: which function is which equation, of every paper. Read off the docstrings, which name both."""

import ast
import re
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[3]
NUMBERS = r"(?P<numbers>\d+(?:(?:, | and | to )\d+)*)"
BEFORE = r"(?:(?P<before>[A-Z][\w-]+)(?: et al\.)? (?P<its>\d{4}), )?"
NAMED = re.compile(rf"{BEFORE}[Ee]quations? {NUMBERS}(?: of (?P<after>[A-Z]\w+) (?P<year>\d{{4}}))?")


def numbers_in(text: str) -> list[int]:
    """`1 to 3 and 5` as 1, 2, 3, 5."""
    found = []
    for part in re.split(r", | and ", text):
        first, *last = map(int, part.split(" to "))
        found += range(first, (last or [first])[0] + 1)
    return found


def equations_of(docstring: str, own: str) -> list[tuple[str, int]]:
    """The papers and equations that a docstring names; without a name it is `own`, the paper of the module."""
    found = []
    for match in NAMED.finditer(" ".join(docstring.split())):
        who, when = (match["before"], match["its"]) if match["before"] else (match["after"], match["year"])
        found += [(f"{who} {when}" if who else own, number) for number in numbers_in(match["numbers"])]
    return found


def index(root: Path = ROOT) -> dict[tuple[str, int], list[str]]:
    """For each paper's equations, in order, the full names of what computes them."""
    found: dict[tuple[str, int], list[str]] = {}
    for path in sorted((root / "serlib").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        own = re.sub(r"([a-z]+)(\d+)$", lambda m: f"{m[1].capitalize()} {m[2]}", path.stem)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                for key in equations_of(ast.get_docstring(node) or "", own):
                    names = found.setdefault(key, [])
                    names += [f"{module}.{node.name}"] if f"{module}.{node.name}" not in names else []
    return dict(sorted(found.items()))


class Equations(SphinxDirective):
    """A table: paper, equation, and links to the functions."""

    def run(self):
        """The table as nodes."""
        rows = ["| paper | equation | computed by |", "|---|---|---|"]
        last = None
        for (paper, number), names in index().items():
            links = ", ".join(f"{{py:obj}}`{name.rsplit('.', 1)[1]} <{name}>`" for name in names)
            rows.append(f"| {paper if paper != last else ''} | {number} | {links} |")
            last = paper
        return self.parse_text_to_nodes("\n".join(rows))


def setup(app):
    """Register the directive."""
    app.add_directive("equations", Equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
