"""Li 2018: the features, filters and poolings against loops over the equations, and what attention is said to do."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from serlib.corpora import read_folder
from serlib.features import extract, spectrogram
from serlib.papers import li2018 as paper
from serlib.papers.li2018 import (
    FLATTENED,
    AttentionPooling,
    BilinearPooling,
    FirstLayer,
    GlobalAveragePooling,
    Schedule,
    SingleLayer,
    attention_maps,
    backbone,
    flattened_answers,
    listening_habits,
    make_model,
    mu_law,
    paper_schedule,
    same,
    segments_for_testing,
    segments_for_training,
    to_unit_range,
    train,
    utterance_scores,
)
from serlib.protocols import li2018

RNG = np.random.default_rng(0)
FEATURES = torch.from_numpy(RNG.normal(size=(3, 80, 5, 6)))  # float64
SPEECH = (RNG.normal(size=40_000) * np.sin(np.arange(40_000) / 5000)).astype(np.float32)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# Features


@pytest.mark.parametrize(
    ("reading", "values"),
    [
        ("largest", {0: 1, -20: 0.591, -40: 0.229, -60: 0.041, -80: 0.0045}),
        ("min-max", {0: 1, -40: -0.9964, -60: -0.9996}),
    ],
)
def test_mu_law_of_both_readings(reading, values):
    """Else the default would not be the soft logarithm that the chapter shows, or be compared with something else."""
    for decibels, expected in values.items():
        magnitude = torch.tensor([[[5.0, 0.0, 5 * 10 ** (decibels / 20)]]])
        assert mu_law(to_unit_range(magnitude, reading))[0, 0, 2].item() == pytest.approx(expected, abs=6e-4)


def test_mu_law_is_equation_1():
    """Else the curve would be another one, or not be odd."""
    x = np.linspace(-1, 1, 201)
    close(mu_law(torch.from_numpy(x)), np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256), 1e-12)


@pytest.mark.parametrize("reading", ["largest", "min-max"])
def test_each_segment_is_scaled_by_itself(reading):
    """Else a loud segment would push down the ones beside it, or a silent one give NaN."""
    magnitude = torch.rand(4, 400, 200) * torch.tensor([1, 10, 100, 0]).view(4, 1, 1)
    scaled = to_unit_range(magnitude, reading)
    assert torch.isfinite(scaled).all() and scaled.min() >= -1 and scaled.max() <= 1
    torch.testing.assert_close(scaled[:3].amax((1, 2)), torch.ones(3))
    torch.testing.assert_close(scaled[1:2], to_unit_range(magnitude[1:2], reading))


@pytest.mark.parametrize(
    ("make", "hop", "counts"), [(segments_for_training, 16_000, (1, 1, 2)), (segments_for_testing, 6_400, (1, 2, 4))]
)
def test_segments(make, hop, counts):
    """Else the network would be trained or tested on other stretches than the paper's."""
    for samples, count in zip((20_000, 40_000, 52_000), counts, strict=True):
        waveform = np.pad(SPEECH, (0, 12_000), mode="reflect")[:samples]
        found = make(waveform)
        assert found.shape == (count, 400, 200) and found.dtype == np.float16
        padded = np.pad(waveform, (0, max(0, 32_000 - samples)))
        for number in range(count):
            piece = spectrogram(padded[None, number * hop :][:, :32_000])[0].numpy()
            expected = np.log1p(255 * piece / piece.max()) / np.log(256)
            np.testing.assert_allclose(found[number], expected, atol=1e-3)


# Filters and backbone


@pytest.mark.parametrize(("height", "width"), [(10, 2), (2, 8), (3, 3), (1, 2), (2, 1), (5, 4), (100, 2)])
def test_same_keeps_the_size_for_even_filters_too(height, width):
    """Else a map would shrink, or be shifted against the loop over the definition."""
    picture, kernel = RNG.normal(size=(12, 9)), RNG.normal(size=(height, width))
    padded = same(height, width)(torch.from_numpy(picture)[None, None])
    found = nn.functional.conv2d(padded, torch.from_numpy(kernel)[None, None])[0, 0]
    assert found.shape == (12, 9)
    top, left = (height - 1) // 2, (width - 1) // 2
    for y, x in [(0, 0), (11, 8), (5, 4), (11, 0)]:
        total = 0.0
        for i in range(height):
            for j in range(width):
                row, column = y + i - top, x + j - left
                if 0 <= row < 12 and 0 <= column < 9:
                    total += kernel[i, j] * picture[row, column]
        assert found[y, x].item() == pytest.approx(total)


def test_the_first_layer_has_tall_and_wide_filters():
    """Else "time-specific" and "frequency-specific" filters would have each other's shapes."""
    layer = FirstLayer()
    shapes = [tuple(weight.shape) for weight in layer.parameters() if weight.ndim == 4]
    assert shapes == [(8, 1, 10, 2), (8, 1, 2, 8)] and parameters(layer) == 168 + 136
    assert layer(torch.zeros(1, 1, 40, 20)).shape == (1, 16, 40, 20)


def test_the_backbone_stage_by_stage():
    """Else pools or channels would stand elsewhere than in the table of the chapter."""
    stages, x = backbone().eval(), torch.rand(1, 1, 400, 200)
    counts = []
    with torch.no_grad():
        for stage, shape in zip(
            stages, [(16, 400, 200), (32, 200, 100), (48, 100, 50), (64, 100, 50), (80, 100, 50)], strict=True
        ):
            x = stage(x)
            assert x.shape == (1, *shape) and x.min() >= 0
            counts.append(parameters(stage))
    assert counts == [168 + 136 + 32, 4640 + 64, 13_872 + 96, 27_712 + 128, 46_160 + 160]
    assert parameters(stages) == 93_168


def test_names_of_the_table_are_names_of_models():
    """Else a row of the paper's table could not be compared with ours."""
    assert {"CNN_TF_GAP", "CNN_TF_Bilinear", "CNN_TF_Att.pooling"} <= set(paper.PUBLISHED.index) & set(paper.POOLINGS)
    assert isinstance(make_model("Conv1_2x80"), SingleLayer)


# Poolings


def test_global_average_pooling_is_a_loop():
    """Else equation 3 would be something else than an average over positions."""
    pooling = GlobalAveragePooling().double()
    weight, bias = pooling.classify.weight.detach().numpy(), pooling.classify.bias.detach().numpy()
    scores, weights = pooling(FEATURES)
    assert weights is None
    for number, features in enumerate(FEATURES.numpy()):
        for k in range(4):
            total = bias[k]
            for channel in range(80):
                total += weight[k, channel] * sum(features[channel].ravel()) / 30
            assert scores[number, k].item() == pytest.approx(total)


def test_bilinear_pooling_is_a_loop():
    """Else equation 4 would not be a sum of outer products, or be normalised in another way."""
    pooling, features = BilinearPooling(channels=5), FEATURES[:, :5]
    weight, bias = (part.detach().double().numpy() for part in (pooling.classify.weight, pooling.classify.bias))
    found = pooling(features)[0]
    for number, one in enumerate(features.numpy()):
        products = np.zeros((5, 5))
        for y in range(5):
            for x in range(6):
                products += np.outer(one[:, y, x], one[:, y, x])
        rooted = np.sign(products) * np.sqrt(np.abs(products))
        vector = (rooted / np.sqrt((rooted**2).sum())).ravel()
        close(found[number], weight @ vector + bias, 1e-4)


def test_attention_pooling_is_a_triple_loop():
    """Else equation 8 would not be a sum over positions of attention times the map of a class."""
    pooling = AttentionPooling().double()
    top, bottom = (
        pooling.top_down.weight.detach().numpy()[..., 0, 0],
        pooling.bottom_up.weight.detach().numpy()[0, :, 0, 0],
    )
    top_bias, bottom_bias = pooling.top_down.bias.detach().numpy(), pooling.bottom_up.bias.item()
    scores, weights = pooling(FEATURES)
    for number, features in enumerate(FEATURES.numpy()):
        saliency = np.zeros((5, 6))
        for y in range(5):
            for x in range(6):
                saliency[y, x] = bottom_bias
                for channel in range(80):
                    saliency[y, x] += bottom[channel] * features[channel, y, x]
        attention = np.exp(saliency) / np.exp(saliency).sum()
        close(weights[number], attention)
        for k in range(4):
            total = 0.0
            for y in range(5):
                for x in range(6):
                    total += attention[y, x] * (top_bias[k] + sum(top[k] * features[:, y, x]))
            assert scores[number, k].item() == pytest.approx(total, rel=1e-5, abs=1e-6)
    close(weights.sum((1, 2)), np.ones(3))


def test_bilinear_pooling_of_rank_1_is_attention_pooling():
    """Else the algebra from equation 4 to 8, on which the paper stands, would not hold for our modules."""
    pooling = AttentionPooling().double()
    for layer in (pooling.top_down, pooling.bottom_up):
        nn.init.zeros_(layer.bias)
    a, b = pooling.top_down.weight[:, :, 0, 0], pooling.bottom_up.weight[0, :, 0, 0]
    attention = (pooling.top_down(FEATURES) * pooling.bottom_up(FEATURES)).sum((2, 3))  # no softmax
    for number, features in enumerate(FEATURES):
        x = features.flatten(1).T  # (positions, channels)
        for k in range(4):
            trace = torch.trace(x.T @ x @ torch.outer(a[k], b).T)
            torch.testing.assert_close(trace, attention[number, k])
            torch.testing.assert_close((x @ a[k]) @ (x @ b), trace)


def test_equal_attention_is_global_average_pooling():
    """Else the two models that are compared would differ in more than the attention."""
    attention, average = AttentionPooling(), GlobalAveragePooling()
    nn.init.zeros_(attention.bottom_up.weight)
    average.classify.weight.data = attention.top_down.weight.data[:, :, 0, 0]
    average.classify.bias.data = attention.top_down.bias.data
    features = FEATURES.float()
    torch.testing.assert_close(attention(features)[0], average(features)[0])


def test_masked_positions_do_not_count():
    """Else an utterance would get another class when it is padded to the length of its neighbour."""
    pooling, features = AttentionPooling(), FEATURES.float()
    scores, weights = pooling(features)
    padded = torch.cat([features, 100 * torch.rand(3, 80, 5, 4)], dim=3)
    mask = torch.arange(10).expand(3, 5, 10) < 6
    masked_scores, masked_weights = pooling(padded, mask)
    torch.testing.assert_close(masked_scores, scores)
    torch.testing.assert_close(masked_weights[..., :6], weights)
    assert not masked_weights[..., 6:].any()
    torch.testing.assert_close(pooling(features, torch.ones(3, 5, 6, dtype=torch.bool))[0], scores)
    assert not torch.allclose(pooling(padded)[0], scores)


@pytest.mark.parametrize("reduce", ["sum", "mean"])
def test_masked_positions_do_not_count_without_a_softmax(reduce):
    """Else the variant without a softmax would score padding, or answer NaN."""
    pooling, mask = AttentionPooling(7, reduce=reduce, softmax=False), torch.arange(10).expand(3, 5, 10) < 6
    features = torch.randn(3, 7, 5, 10)
    scores, weights = pooling(features, mask)
    expected = AttentionPooling.forward(pooling, features[..., :6])[0] * (1 if reduce == "sum" else 0.6)
    torch.testing.assert_close(scores, expected)
    assert not weights[..., 6:].any()


def test_the_scale_trap():
    """Else softmax and then mean would not show the 5000 times smaller scores that stall training."""
    summed, averaged = AttentionPooling(), AttentionPooling(reduce="mean")
    averaged.load_state_dict(summed.state_dict())
    features = torch.rand(2, 80, 100, 50)
    torch.testing.assert_close(5000 * averaged(features)[0], summed(features)[0])
    model = make_model("CNN_TF_Att.pooling, averaged")
    assert model.pooling.reduce == "mean" and make_model("CNN_TF_Att.pooling").pooling.reduce == "sum"


# Training and testing


def test_the_schedule_is_the_papers():
    """Else "as in the paper" would be trained for another time, or with another optimiser."""
    assert dataclasses.astuple(Schedule()) == (50, 64, 0.05, (20, 30, 40), None, None)


@pytest.fixture
def task(corpus):
    return li2018(read_folder(corpus))


def test_what_training_is_given(task, handed):
    """Else a segment would be learned under another one's label, or the optimiser not be the paper's."""
    fold = task.folds[1]
    seen = handed(train, task, fold, "Conv1_10x2", Schedule(5, 7, 0.05, (2, 3), 9))
    optimiser = seen["make_optimiser"](seen["model"].parameters())
    schedule = seen["make_schedule"](optimiser)
    wanted = {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "dampening": 0}
    assert {key: optimiser.defaults[key] for key in wanted} == wanted and type(optimiser) is torch.optim.SGD
    assert (list(schedule.milestones), schedule.gamma) == ([2, 3], 0.1)
    inputs, targets = map(torch.cat, zip(*seen["epoch_of"](torch.Generator().manual_seed(0)), strict=True))
    own = np.concatenate(extract(task.table.iloc[fold.train], segments_for_training))
    order = [int(np.flatnonzero((own == x.numpy()).all((1, 2)))[0]) for x in inputs]
    assert sorted(order) == list(range(len(own))) and order != sorted(order)
    np.testing.assert_array_equal(targets, task.labels[fold.train][order])


def test_an_utterances_score_is_the_mean_over_its_segments():
    """Else long utterances would be scored by their first or last seconds."""
    model = make_model("Conv1_3x3").eval()
    pieces = RNG.random((5, 40, 20)).astype(np.float16)
    with torch.no_grad():
        expected = model(torch.from_numpy(pieces)).softmax(1).mean(0)
    np.testing.assert_allclose(utterance_scores(model, [pieces])[0], expected, atol=1e-6)


def test_paper_schedule_matches_the_updates(task):
    """Else "matched updates" would train three or thirty times as long as the paper did."""
    assert paper_schedule(dataclasses.replace(task, corpus="iemocap")) == Schedule()
    schedule = paper_schedule(task, updates=200)  # sixteen segments: one update an epoch
    assert schedule == Schedule(200, 16, 0.05, (80, 120, 160))


def test_attention_maps():
    """Else the picture would show the maps of something else than the scores."""
    model, picture = make_model("CNN_TF_Att.pooling").eval(), torch.rand(400, 200)
    weights, classes = attention_maps(model, picture)
    assert weights.shape == (100, 50) and classes.shape == (4, 100, 50)
    assert weights.sum() == pytest.approx(1, abs=1e-4)
    with torch.no_grad():
        np.testing.assert_allclose((weights * classes).sum((1, 2)), model(picture[None])[0], atol=1e-5)


class Listener(nn.Module):
    """A model that attends to a place as much as the picture is bright there."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.backbone = nn.AvgPool2d(4)
        self.pooling = Brightness()


class Brightness(nn.Module):
    def forward(self, features):
        return None, features[:, 0] / features.sum()

    def top_down(self, features):
        return features.expand(-1, 4, -1, -1)


@pytest.mark.parametrize(("hertz", "low"), [(200, 1), (1000, 0)])
def test_listening_habits(hertz, low):
    """Else "attention follows energy" would be measured along the wrong axis: here it is known to be so."""
    time = np.arange(32_000) / 16_000
    swelling = (np.sin(2 * np.pi * hertz * time) * time).astype(np.float32)
    together, attention, energy, places = listening_habits(Listener().eval(), swelling)
    assert together > 0.95 and energy == pytest.approx(low, abs=0.01)
    assert attention > 0.5 if low else attention < 0.2
    [picture] = torch.from_numpy(segments_for_testing(swelling)).float()
    share = attention_maps(Listener(), picture)[0].astype(np.float64).ravel()
    share = share[share > 0] / share.sum()
    assert places == pytest.approx(np.prod(share**-share), rel=0.01) and 1 < places < 5000


@pytest.mark.filterwarnings("ignore:An input array is constant")
@pytest.mark.parametrize(("seconds", "segments"), [(2, 1), (4, 6)])
def test_even_attention_spreads_over_all_places(seconds, segments, monkeypatch):
    """Else "over how many of 5000 places" would depend on an utterance's length, or have another end than 5000."""
    even = np.full((100, 50), 1 / 5000), None
    calls = []
    monkeypatch.setattr(paper, "attention_maps", lambda model, picture: calls.append(picture) or even)
    assert listening_habits(None, np.resize(SPEECH, 16_000 * seconds))[3] == pytest.approx(5000)
    assert len(calls) == segments


def test_flattened_answers(monkeypatch):
    """Else "even over time" would take the profile over frequency away, and the chapter would blame the wrong axis."""
    weights, top_down = np.zeros((100, 50)), np.zeros((4, 100, 50))
    weights[0, 0] = 1
    top_down[0, 0, 0] = 10  # what the one place says, its row, its column, and all the rest
    top_down[1, 0, 1:], top_down[2, 1:, 0], top_down[3, 1:, 1:] = 5, 5, 1
    monkeypatch.setattr(paper, "attention_maps", lambda model, picture: (weights, top_down))
    assert list(FLATTENED) == ["as learned", "even over time", "even over frequency", "even"]
    assert flattened_answers(None, SPEECH) == [0, 1, 2, 3]


def test_the_answer_as_learned_is_the_answer_of_the_network():
    """Else the first line of the table would be of another system than the reference run."""
    model = make_model("CNN_TF_Att.pooling").eval()
    for number in range(3):
        with torch.no_grad():
            model.pooling.top_down.weight.mul_(30).neg_()
        wave = SPEECH * np.sin(np.arange(40_000) / (1 + 5 * number))
        expected = utterance_scores(model, [segments_for_testing(wave.astype(np.float32))]).argmax(1)
        assert flattened_answers(model, wave)[0] == expected


def test_recompute_has_every_row_that_there_is(task, tmp_path, monkeypatch):
    """Else a row of the table would stay empty for those who have IEMOCAP, or be of another protocol."""
    asked = []
    monkeypatch.setattr(paper, "functionals_svm", lambda task, folder: "svm")
    monkeypatch.setattr(paper, "run_all", lambda plan, folder, **how: asked.extend(plan) or [])
    assert paper.recompute(task.table, tmp_path, jobs=2) == ["svm"]
    rows = [row for row in paper.PUBLISHED.index if not row.startswith("CNN-LSTM")]
    assert sorted(run.model for run in asked) == sorted(rows)
    assert {run.task.protocol for run in asked} == {"li2018"} and {run.folds for run in asked} == {None}
