"""Does it reproduce? What became of a paper's claims, one by one, and the records that say so."""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

from IPython.display import HTML

from serlib.errors import InputError
from serlib.runs import record as records_of


class Verdict(NamedTuple):
    """A claim of a paper, in our words; whether it holds `here`; and on what `evidence`.

    `here` is "holds", "does not hold" or "cannot be told". `records` are patterns of files in serlib/reference,
    `li2018/CNN_TF_GAP_emodb_*`. What cannot be told needs none: then `evidence` says what it would take.
    Page: book/verdict.
    """

    claim: str
    here: str
    evidence: str
    records: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """The files that it rests on. Raises InputError where a pattern finds none."""
        found = []
        for pattern in self.records:
            paths = sorted(path for path in records_of.REFERENCE.glob(pattern) if path.is_file())
            if not paths:
                raise InputError(f"{self.claim!r}: no file serlib/reference/{pattern}.")
            found += [path.relative_to(records_of.REFERENCE).as_posix() for path in paths]
        return found


def verdicts(claims: Iterable[Verdict]) -> HTML:
    """Verdicts as a table: what the paper says, whether it holds here, why, and the files behind it.

    Page: book/verdict.
    """
    rows = []
    for each in claims:
        files = each.files()
        listed = "".join(f"<li><code>{escape(name)}</code></li>" for name in files)
        what = "1 file" if len(files) == 1 else f"{len(files)} files"
        shown = f"<details><summary>{what}</summary><ul>{listed}</ul></details>" if files else ""
        cells = (escape(each.claim), f"<strong>{each.here}</strong>", escape(each.evidence) + shown)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("the paper says", "here", "because"))
    return HTML(
        f'<table class="dataframe verdicts"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )
