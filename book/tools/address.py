"""The repository's public address, which stands in `_config.yml`; badges, set-up cells, metadata repeat it.

`python book/tools/address.py` lists where; followed by https://github.com/OWNER/NAME it changes it everywhere.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = re.compile(r"https://github\.com/([A-Za-z0-9][A-Za-z0-9-]*)/([A-Za-z0-9._-]+)")
HOSTS = r"(?:github\.com|colab\.research\.google\.com/github|raw\.githubusercontent\.com)"
END = r"(?![\w-]|\.(?!git\b)\w)"


def files(root: Path) -> list[Path]:
    """Every file that may repeat the address."""
    named = [root / name for name in ("_config.yml", "README.md", "CITATION.cff", "pyproject.toml")]
    return [*named, *sorted((root / "book").glob("*.md")), *sorted((root / "notebooks").glob("*.ipynb"))]


def address(root: Path) -> str:
    """The address of the repository, from `_config.yml`."""
    return yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]


def forms(url: str) -> list[tuple[str, str]]:
    """Each form that is repeated, as (what comes before, the address): the repository's, and its pages'."""
    owner, name = ADDRESS.fullmatch(url).groups()
    return [(rf"({HOSTS}/)", f"{owner}/{name}"), (r"(https://)", f"{owner.lower()}.github.io/{name}")]


def places(root: Path, url: str) -> dict[str, int]:
    """How often each file holds the address, in any form."""
    found = {}
    for path in files(root):
        text = path.read_text("utf-8")
        count = sum(len(re.findall(before + re.escape(own) + END, text)) for before, own in forms(url))
        if count:
            found[path.relative_to(root).as_posix()] = count
    return found


def change(root: Path, new: str) -> dict[str, int]:
    """Put `new` in every place; raises ValueError if it is not the address of a GitHub repository."""
    new = new.rstrip("/").removesuffix(".git")
    if not ADDRESS.fullmatch(new):
        raise ValueError(f"{new!r} is not of the form https://github.com/OWNER/NAME, which Colab's links need.")
    old = address(root)
    changed = places(root, old)
    for name in changed:
        text = (root / name).read_text("utf-8")
        for (before, own), (_, theirs) in zip(forms(old), forms(new), strict=True):
            text = re.sub(before + re.escape(own) + END, rf"\g<1>{theirs}", text)
        (root / name).write_text(text, "utf-8")
    return changed


if __name__ == "__main__":
    try:
        found = change(ROOT, sys.argv[1]) if sys.argv[1:] else places(ROOT, address(ROOT))
    except ValueError as error:
        sys.exit(str(error))
    print(address(ROOT))
    print("\n".join(f"{count:4d} in {name}" for name, count in found.items()))
