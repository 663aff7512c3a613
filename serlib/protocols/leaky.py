"""Protocols with a mistake of the literature each, run beside the clean ones to show how much it is worth."""

from dataclasses import replace

import numpy as np
import pandas as pd

from serlib.errors import InputError
from serlib.protocols.folds import five_parts, one_each, session_parts, with_next
from serlib.protocols.tasks import FOUR_EMOTIONS, Task, emotions_of, make_task, select


def leaky_random_utterances(table: pd.DataFrame, folds: int = 5, seed: int = 0) -> Task:
    """As `common_loso`, but utterances are dealt at random: every test speaker is known. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    part = pd.Series(np.random.default_rng(seed).permutation(np.arange(len(chosen)) % max(1, folds)))
    return make_task("leaky_random_utterances", chosen, emotions_of(chosen), FOUR_EMOTIONS, with_next(one_each(part)))


def leaky_best_epoch_on_test(table: pd.DataFrame, folds: int = 5) -> Task:
    """As `common_loso`, but the epoch is chosen on the session that is tested. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = [(name, rows, rows) for name, rows in session_parts(chosen, folds)]
    return make_task("leaky_best_epoch_on_test", chosen, emotions_of(chosen), FOUR_EMOTIONS, sides)


def leaky_jalal2020_chosen_on_test(table: pd.DataFrame) -> Task:
    """As `jalal2020_retrained`, but learning rate and epoch are chosen on the session that is tested.

    It is what Jalal 2020 may have done: its learning rate waits for a plateau of something, and it names two parts.
    Page: notebooks/03.
    """
    chosen = select(table, "all4_hapexc")
    *_, (name, fifth) = five_parts(chosen, "leaky_jalal2020_chosen_on_test")
    return make_task(
        "leaky_jalal2020_chosen_on_test", chosen, emotions_of(chosen), FOUR_EMOTIONS, [(name, fifth, fifth)]
    )


def leaky_marker_as_speaker(table: pd.DataFrame) -> Task:
    """As `li2018`, but the letter after the session in an id is taken for the speaker.

    It says who wore the motion-capture markers; about half of the utterances are the other speaker's. For corpora in
    IEMOCAP's layout. Page: book/which_iemocap.
    """
    chosen = select(table, "impro4_hap")
    marker = chosen["utterance_id"].str.extract(r"^(Ses\d\d[FM])", expand=False)
    if marker.isna().any():
        raise InputError("leaky_marker_as_speaker reads IEMOCAP's utterance ids (Ses01F_...), and these are others.")
    return make_task("leaky_marker_as_speaker", chosen, emotions_of(chosen), FOUR_EMOTIONS, one_each(marker))


def leaky_normalised_over_everything(table: pd.DataFrame, folds: int = 5) -> Task:
    """As `common_loso`, but features are scaled by statistics that include the test. Page: book/which_iemocap."""
    chosen = select(table, "impro4_hap")
    sides = with_next(session_parts(chosen, folds))
    task = make_task("leaky_normalised_over_everything", chosen, emotions_of(chosen), FOUR_EMOTIONS, sides)
    everything = np.arange(len(chosen))
    return replace(task, folds=tuple(replace(fold, normalise=everything) for fold in task.folds))
