"""The second room: which utterances a paper trains on, and who is tested when.

A selection names utterances (`impro4_hap`, 2280 of IEMOCAP); a protocol selects, labels and deals them into folds. On
IEMOCAP, and on the synthetic corpus that has its counts, a protocol that does not get its counts refuses to run. The
protocols whose names begin with `leaky_` are here to show how much the literature's mistakes are worth.
"""

from serlib.protocols.folds import Fold
from serlib.protocols.leaky import (
    leaky_best_epoch_on_test,
    leaky_jalal2020_chosen_on_test,
    leaky_marker_as_speaker,
    leaky_normalised_over_everything,
    leaky_random_utterances,
)
from serlib.protocols.papers import (
    cai2020,
    common_levels,
    common_loso,
    common_speakers,
    jalal2020,
    jalal2020_retrained,
    li2018,
    zhang2019_inferred,
    zhang2019_stated,
    zhao2021,
)
from serlib.protocols.tasks import (
    ASSERTED,
    DIMENSIONS,
    FOUR_EMOTIONS,
    MAPPED,
    SELECTIONS,
    Selection,
    Task,
    four_bins,
    select,
    three_levels,
)

PROTOCOLS = (
    *(li2018, zhang2019_inferred, zhang2019_stated, cai2020, jalal2020, jalal2020_retrained, zhao2021),
    *(common_loso, common_speakers, common_levels),
    *(leaky_random_utterances, leaky_best_epoch_on_test, leaky_jalal2020_chosen_on_test, leaky_marker_as_speaker),
    leaky_normalised_over_everything,
)

__all__ = ["ASSERTED", "DIMENSIONS", "FOUR_EMOTIONS", "MAPPED", "PROTOCOLS", "SELECTIONS", "Fold", "Selection", "Task"]
__all__ += ["four_bins", "select", "three_levels", *(protocol.__name__ for protocol in PROTOCOLS)]
