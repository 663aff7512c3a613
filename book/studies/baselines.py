"""Make the records of the classifiers: `make baselines`, an hour on two cores. It goes on where it was stopped.

What a linear classifier on functionals scores under every protocol of the chapters, under the clean protocols and the
leaky ones of the pages; the rivals of chapter 5; and what the words of the synthetic corpus give away. EmoDB and
RAVDESS are looked for under SERLIB_DATA, as `emodb` and `ravdess_speech`. CHAPTER=zhao2021 takes one chapter's.
"""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from reference import keep, table_of
from shared import RUNS

from serlib import corpora
from serlib import protocols as p
from serlib.baselines import functionals_svm, words_bayes
from serlib.papers.cai2020 import svm_with_bins
from serlib.papers.zhao2021 import elm_run, hmm_run
from serlib.runs import Record, Run, run_all

EVERYWHERE = (p.common_loso, p.leaky_random_utterances, p.leaky_normalised_over_everything)
IN_IEMOCAPS_LAYOUT = (p.li2018, p.leaky_marker_as_speaker)
CHOSEN = partial(functionals_svm, choose_on="development")
LOUDNESS = partial(CHOSEN, only="loudness")


def told(task: p.Task, folder: Path) -> Record:
    """Chapter 4's machine that is told the bins of all dimensions that a corpus has."""
    name = "MMTL" if "dominance" in task.auxiliary else "MMTL, V+A"
    return svm_with_bins(task, name, folder)


def tested(make: Callable[[p.Task], Run], task: p.Task, folder: Path) -> Record:
    """A rival of chapter 5: an extreme learning machine on what a network says of frames, or hidden Markov models."""
    return run_all([make(task)], folder)[0]


MACHINES = [partial(tested, partial(elm_run, kind=kind)) for kind in ("DNN", "RNN")]
RIVALS = (functionals_svm, *MACHINES, partial(tested, hmm_run))


if __name__ == "__main__":
    emodb, ravdess, full = (corpora.load(name) for name in ("emodb", "ravdess_speech", "synthetic:full"))
    tenth = table_of("synthetic:full", tenth=True)
    plan = [("li2018", functionals_svm, task) for task in (p.li2018(emodb), p.common_loso(ravdess, folds=6))]
    levels = [(emodb, p.common_levels), (tenth, p.zhang2019_inferred)]
    levels += [(full, p.zhang2019_inferred), (full, p.zhang2019_stated)]
    for table, protocol in levels:
        plan += [("zhang2019", CHOSEN, protocol(table, dimension)) for dimension in protocol(table).auxiliary]
    for table, protocol in levels[:2]:
        plan += [("zhang2019", LOUDNESS, protocol(table, dimension)) for dimension in protocol(table).auxiliary]
    for table in (emodb, ravdess, tenth):
        plan += [("jalal2020", functionals_svm, task(table)) for task in (p.jalal2020, p.jalal2020_retrained)]
    plan += [("jalal2020", functionals_svm, p.common_loso(emodb))]
    for table in (emodb, ravdess, tenth):
        plan += [("cai2020", classifier, p.cai2020(table)) for classifier in (functionals_svm, told)]
    for table in (emodb, ravdess, tenth):
        plan += [("zhao2021", rival, p.zhao2021(table)) for rival in RIVALS]
    plan += [("li2018", rival, p.li2018(emodb)) for rival in MACHINES]
    for table in (full, emodb, ravdess):
        pages = (*EVERYWHERE, *(IN_IEMOCAPS_LAYOUT if table is full else ()))
        plan += [("protocols", functionals_svm, protocol(table)) for protocol in pages]
    plan += [("protocols", words_bayes, protocol(full)) for protocol in (p.common_loso, p.jalal2020)]
    wanted = sys.argv[1:] or {part for part, *_ in plan}
    for part, classifier, task in [each for each in plan if each[0] in wanted]:
        record = classifier(task, RUNS / part)
        about = (record.model, record.corpus, record.protocol, record.settings.get("dimension", ""))
        print(part, *about, *[record.shown(score) for score in ("overall_accuracy", "uar")], sep=" | ")
        keep(record, part, "_".join("-".join(re.findall(r"[\w.]+", name)) for name in about if name))
