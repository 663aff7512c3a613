"""Make the records of the pages on corpora and protocols: `make protocols`. Some ten minutes on two cores.

What a linear classifier scores under the clean protocols and the leaky ones, on the synthetic corpus in full size and
on EmoDB and RAVDESS, which are looked for under SERLIB_DATA as `emodb` and `ravdess_speech`; and what the words of the
synthetic corpus give away. It goes on where it was stopped. The records go to `serlib/reference/protocols`.
"""

from reference_runs import RUNS, keep

from serlib import corpora
from serlib import protocols as p
from serlib.baselines import functionals_svm, words_bayes
from serlib.results import REFERENCE

PART = "protocols"
EVERYWHERE = (p.common_loso, p.leaky_random_utterances, p.leaky_normalised_over_everything)
IN_IEMOCAPS_LAYOUT = (p.li2018, p.leaky_marker_as_speaker)

if __name__ == "__main__":
    full = corpora.load("synthetic:full")
    records = [words_bayes(protocol(full), RUNS / PART) for protocol in (p.common_loso, p.jalal2020)]
    for name in ("synthetic:full", "emodb", "ravdess_speech"):
        table = full if name == full.attrs["corpus"] else corpora.load(name)
        for protocol in (*EVERYWHERE, *(IN_IEMOCAPS_LAYOUT if table is full else ())):
            records.append(functionals_svm(protocol(table), RUNS / PART))
    for record in records:
        scores = [record.shown(score) for score in ("overall_accuracy", "uar")]
        print(record.corpus, record.protocol, record.model, *scores, sep=" | ")
    keep(PART, REFERENCE / PART)
