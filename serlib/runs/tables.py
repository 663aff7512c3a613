"""Records as tables. A number stands in the book only if a record holds it."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from serlib import metrics
from serlib.runs import record as records_of
from serlib.runs.record import Record, read_record


def reference(paper: str, **wanted: object) -> list[Record]:
    """A paper's reference records with the wanted values: `reference("li2018", corpus="emodb")`. Page: notebooks/01."""
    records = map(read_record, sorted((records_of.REFERENCE / paper).glob("*.json")))
    return [record for record in records if all(getattr(record, key) == value for key, value in wanted.items())]


def over_seeds(runs: list[Record], score: str) -> str:
    """A score in per cent: of one run with its interval, of several seeds their mean, deviation and number.

    A dagger marks a number of code that behaved otherwise. Page: notebooks/03.
    """
    if len(runs) == 1:
        return runs[0].shown(score)
    values = [100 * run.scores()[score][0] for run in runs]
    if np.isnan(values).any():
        return "no label"
    stale = "" if all(run.is_current() for run in runs) else " †"
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} (n={len(values)}){stale}"


def fullest(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Of each model all seeds of what was trained on most folds, and there longest: chosen by effort, never by score.

    Of a seed that was run twice, the record of today's behaviour counts. Page: notebooks/01.
    """
    groups: dict[str, dict[tuple, dict[int, Record]]] = {}
    for record in sorted(records, key=lambda record: (record.seed, record.is_current())):
        alike = (len(record.folds), record.corpus, record.protocol, repr(sorted(record.settings.items())))
        groups.setdefault(record.model, {}).setdefault(alike, {})[record.seed] = record

    def effort(runs: list[Record]) -> tuple[int, int]:
        return len(runs[0].folds), max(run.updates() for run in runs)  # who has patience stops where the seed wills

    return {model: max(map(list, map(dict.values, found.values())), key=effort) for model, found in groups.items()}


def compare(published: pd.DataFrame, references: Iterable[Record], this_run: Iterable[Record]) -> pd.DataFrame:
    """Published, reference and this run side by side; what was not measured says so. Page: notebooks/01."""
    columns = {("published", name): published[name].map("{:.2f}".format) for name in published}
    order = dict.fromkeys(published.index)
    for title, found in (("reference", fullest(references)), ("this run", fullest(this_run))):
        order |= dict.fromkeys(found)
        title += ": " + " ".join(sorted({run.corpus for runs in found.values() for run in runs}))
        for name, score in (("accuracy", "overall_accuracy"), ("UAR", "uar")):
            columns[title, name] = pd.Series({model: over_seeds(runs, score) for model, runs in found.items()})
    return pd.DataFrame(columns, index=list(order)).fillna("not run")


def describe(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record: what was run, what came out, and what it took. Page: notebooks/01."""
    rows = [
        {
            "corpus": record.corpus,
            "protocol": record.protocol,
            "model": record.model,
            **{"accuracy": record.shown("overall_accuracy"), "UAR": record.shown("uar")},
            "utterances": len(record.predictions()),
            "folds": len(record.folds),
            "batch": record.settings.get("batch_size", ""),
            "updates a fold": record.updates() or "",
            "seed": record.seed,
            "ran on": "{device}, {threads} thread(s), {precision}".format(**record.origin["environment"]),
            "minutes": round(sum(fold["seconds"] for fold in record.folds) / 60, 1),
            "date": record.origin["date"],
        }
        for record in records
    ]
    return pd.DataFrame(rows).sort_values(["corpus", "model", "folds", "seed"]).set_index(["corpus", "model"])


def learning_curves(record: Record) -> pd.DataFrame:
    """Of every fold and epoch the training loss, learning rate, seconds and any development score.

    Records from before they were kept have the learning rates alone, or nothing. Page: book/how_it_is_built.
    """
    curves = {fold["name"]: pd.DataFrame(fold["curve"]) for fold in record.folds if "curve" in fold}
    rows = pd.concat(curves.values(), keys=curves, names=["fold", "epoch"]) if curves else pd.DataFrame()
    return rows.rename(index=lambda epoch: epoch + 1, level="epoch") if curves else rows


def recalls(systems: dict[str, list[Record]]) -> pd.DataFrame:
    """UAR and the recall of each class in per cent, a row for each system: means over its runs.

    Page: book/how_it_is_built.
    """
    rows = {}
    for name, runs in systems.items():
        found = pd.DataFrame([{"UAR": run.scores()["uar"][0], **run.recalls()} for run in runs]).drop(columns="overall")
        rows[name] = {"runs": len(runs), **(100 * found.mean()).map("{:.1f}".format)}
    return pd.DataFrame(rows).T


def by_speaker(systems: dict[str, list[Record]], score: Callable = metrics.uar) -> pd.DataFrame:
    """A score of each system for every speaker that all of them were tested on, in per cent: means over its runs.

    Of a speaker the UAR leaves out the classes that the speaker lacks. Page: book/how_it_is_built.
    """
    columns = {}
    for name, runs in systems.items():
        of_runs = []
        for run in runs:
            rows = run.predictions().groupby("speaker")
            found = {speaker: score(own["label"], own["predicted"]) for speaker, own in rows}
            of_runs.append(pd.Series(found, dtype=float))
        columns[name] = 100 * pd.concat(of_runs, axis=1).mean(axis=1)
    return pd.DataFrame(columns).dropna()
