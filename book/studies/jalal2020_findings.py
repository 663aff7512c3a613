"""Look into the networks of chapter 3: `make findings CHAPTER=jalal2020`.

Spread, coverage, residual and gammas of MOMA, trained and untrained, on EmoDB's ten actors and on the synthetic test,
and two utterances of it to look at and to hear, with their words and phones.
"""

import numpy as np
import pandas as pd
import torch
from shared import item, keep_findings, networks, run

import serlib
from serlib import protocols, runs
from serlib.audio import read_row
from serlib.corpora import load
from serlib.device import seed_everything
from serlib.features import extract, log_mel
from serlib.papers import jalal2020
from serlib.papers.jalal2020 import MOMA, attention_over_time, coverage, residual_share, spoken_in, spread
from serlib.sequences import mask_of, pad

SAYINGS = ("Yeah. I don't know.", "Yeah.")
SEEDS = 5  # untrained networks


@torch.no_grad()
def both_layers(model: MOMA, heard: torch.Tensor) -> np.ndarray:
    """The weights of both layers over what the network hears, `(2, steps)`."""
    return torch.cat(model.listen(pad([heard]))[1:]).numpy()


def weights_of(model: MOMA, mels: list[np.ndarray]) -> list[np.ndarray]:
    """What both layers attend to in every utterance, `(2, steps)`; a step is some averaged frames."""
    return [both_layers(model, model.front_end(mel)) for mel in mels]


def spreads(weights: list[np.ndarray]) -> np.ndarray:
    """Over which share of the frames each layer spreads, for every utterance: `(utterances, layers)`."""
    return np.array([[spread(layer) for layer in layers] for layers in weights], np.float32)


def coverages(weights: list[np.ndarray], table: pd.DataFrame) -> np.ndarray:
    """Which share of its phones each layer covers, for every row: `(rows, layers)`."""
    phones = [spoken_in(row, "phseg")[0] for _, row in table.iterrows()]
    pairs = zip(weights, phones, strict=True)
    return np.array([[coverage(layer, said) for layer in layers] for layers, said in pairs], np.float32)


@torch.no_grad()
def blocks(model: MOMA, mels: list[np.ndarray]) -> list[np.ndarray]:
    """What each block of layer 2 attends to, before they are mixed: `(blocks, steps)`."""
    found = []
    for mel in mels:
        padded, lengths = pad([model.front_end(mel)])
        mask = mask_of(lengths, padded.shape[1])
        states = model.encoder(padded, lengths)
        states = states + model.layer_1(states, mask)[0]
        found.append(torch.cat([block(states, mask)[1] for block in model.layer_2]).numpy())
    return found


def alike(weights: list[np.ndarray]) -> np.ndarray:
    """How much the blocks attend to the same, for every utterance: the mean correlation over time of two of them."""
    upper = np.triu_indices(len(weights[0]), 1)
    return np.array([np.corrcoef(views)[upper].mean() for views in weights], np.float32)


def begun(model: MOMA, seed: int) -> MOMA:
    """A network as it is before training, with the front end of a trained one."""
    seed_everything(seed)
    fresh = jalal2020.make_model("MOMA").eval()
    fresh.front_end.load_state_dict(model.front_end.state_dict())
    return fresh


def on_people(arrays: dict) -> list[runs.Record]:
    """MOMA on the test utterances of every fold of EmoDB, each with the network that never heard the speakers."""
    one = item("jalal2020", "MOMA", "emodb", "common_loso", statistics="training")
    keys = ("spread", "untrained", "blocks", "alike", "share", "gammas", "speaker")
    table, kept = one.run().task.table, {key: [] for key in keys}
    for fold, network in networks(one, jalal2020.make_model):
        rows, fresh = table.iloc[fold.test], begun(network, 0)
        mels = list(extract(rows, log_mel))
        kept["spread"].append(spreads(weights_of(network, mels)))
        kept["untrained"].append(spreads(weights_of(fresh, mels)))
        views = [blocks(each, mels) for each in (fresh, network)]
        kept["blocks"].append(spreads(views[1]))
        kept["alike"].append(np.stack([alike(each) for each in views], 1))
        kept["share"].append([np.mean([residual_share(each, mel) for mel in mels]) for each in (fresh, network)])
        kept["gammas"].append([each.gammas.tolist() for each in (fresh, network)])
        kept["speaker"].append(np.array(rows["speaker"], dtype=str))
    for key in ("spread", "untrained", "blocks", "alike", "speaker"):
        arrays[f"emodb_{key}"] = np.concatenate(kept[key])
    arrays["share"], arrays["gammas"] = np.array(kept["share"]), np.array(kept["gammas"])  # (folds, before and after)
    return [run(one)]


def on_voices(arrays: dict) -> list[runs.Record]:
    """MOMA on the synthetic test, whose phones are known in time; and two of its utterances."""
    one = item("jalal2020", "MOMA", "synthetic:full", "jalal2020", statistics="training")
    ((fold, network),) = networks(one, jalal2020.make_model)
    tested = one.run().task.table.iloc[fold.test]
    mels = list(extract(tested, log_mel))
    weights = weights_of(network, mels)
    arrays["synthetic_spread"], arrays["synthetic_speaker"] = spreads(weights), np.array(tested["speaker"], dtype=str)
    arrays["synthetic_coverage"] = coverages([attention_over_time(network, mel) for mel in mels], tested)
    fresh = [begun(network, seed) for seed in range(SEEDS)]
    arrays["untrained_spread"] = np.array([spreads(weights_of(each, mels)).mean(0) for each in fresh])
    over = [[attention_over_time(each, mel) for mel in mels] for each in fresh]
    arrays["untrained_coverage"] = np.array([coverages(weights, tested).mean(0) for weights in over])

    full = protocols.jalal2020(load("synthetic:full"))
    tested = full.table.iloc[full.folds[0].test]
    for number, saying in enumerate(SAYINGS):  # the first neutral one
        said = jalal2020.who_says(tested, saying)
        row = said[said["emotion"] == "neutral"].iloc[0]
        waveform = read_row(row)
        arrays[f"waveform_{number}"] = np.round(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.int16)
        arrays[f"weights_{number}"] = attention_over_time(network, log_mel(waveform)).astype(np.float32)
        for key, kind in (("words", "wdseg"), ("phones", "phseg")):
            arrays[f"{key}_{number}"] = np.array(spoken_in(row, kind)[0], dtype=str)
    arrays["sayings"] = np.array(SAYINGS)
    return [run(one)]


if __name__ == "__main__":
    print(serlib.setup())
    arrays: dict[str, np.ndarray] = {}
    records = on_people(arrays) + on_voices(arrays)
    keep_findings("jalal2020/attention", records, **arrays)
