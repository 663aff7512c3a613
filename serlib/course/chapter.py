"""A notebook that has the shape of a chapter and already runs: the capstone of the course begins with it."""

import keyword
import re
from pathlib import Path

from serlib import papers
from serlib.cache import write_atomically
from serlib.errors import InputError

TEMPLATE = Path(__file__)  # beside it lie chapter.ipynb and chapter.yml


def make_chapter(name: str, folder: str | Path = ".") -> list[Path]:
    """Write the notebook `name.ipynb` and its quiz `name.yml` into a folder, and return where they are.

    The name is also that of the module which the notebook's `#| export` cells become. Raises InputError where it is no
    name of a module, or taken, and where there is no such folder. Page: book/course.
    """
    folder = Path(folder)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InputError(f"{name!r} cannot be a chapter's name: take small letters, digits and _, such as latif2020.")
    if any((Path(place) / f"{name}.py").exists() for place in papers.__path__):
        raise InputError(f"The name {name!r} is taken: serlib.papers has a chapter of that name. Take another.")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Make it first.")
    made = [folder / f"{name}{ending}" for ending in (".ipynb", ".yml")]
    if there := [path for path in made if path.exists()]:
        raise InputError(f"{there[0]} is there already, and is left as it is. Take another name, or move it.")
    for path in made:
        text = TEMPLATE.with_suffix(path.suffix).read_text("utf-8").replace("CHAPTER.yml", f"{name}.yml")
        text = re.sub(r"\bdefault_exp CHAPTER\b", f"default_exp {name}", text)
        text = text.replace("# CHAPTER:", f"# {name}:").replace('\\"CHAPTER\\"', f'\\"{name}\\"')
        with write_atomically(path) as file:
            file.write(text.encode())
    return made
