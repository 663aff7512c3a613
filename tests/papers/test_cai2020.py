"""MMTL: what a step of algorithm 1 computes, who is told what, and what a reader's corpus may lack."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from serlib import protocols, runs
from serlib.audio import equal_parts
from serlib.errors import InputError
from serlib.metrics import uar
from serlib.papers import cai2020
from serlib.papers.cai2020 import (
    Adaptation,
    Brought,
    ClassWeights,
    Rates,
    Schedule,
    adaptation_run,
    adapted_to,
    answers,
    brought_by,
    class_weights,
    decibels,
    descend,
    evaluations,
    filled,
    from_bins_alone,
    meta_backward,
    meta_gradients,
    models_for,
    multi_train,
    over_steps,
    posteriors,
    practise,
    practised_by,
    recompute,
    results_table,
    speaker_step,
    steps_of,
    train,
    twice,
    weighted_loss,
    weights_of,
)

RATES = Rates(0.5, 0.25)  # large, so that an inner step shows


@pytest.fixture
def task(table, small_networks):
    """Eight utterances of each of five speakers, with ratings; networks that are small."""
    return protocols.cai2020(table)


@pytest.fixture
def network(small_networks):
    """A small MMTL without dropout."""
    return cai2020.make_model("MMTL").eval()


def someone(name="s", segments=6, seed=0, tasks=3):
    """What a speaker brings: noise, with labels that mean nothing."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (segments, 1 + tasks), generator=draw)
    return Brought(name, torch.randn(segments, 300, 200, generator=draw), labels[:, 0], labels[:, 1:])


def same(loss):
    return loss


def even(tasks=3):
    return ClassWeights(torch.ones(4), torch.ones(tasks, 4))


def uneven():
    return ClassWeights(
        torch.tensor([1.0, 0.5, 0.2, 0.7]), torch.rand(3, 4, generator=torch.Generator().manual_seed(1))
    )


def close(found, expected, tolerance=1e-6):
    """Dictionaries of tensors, or tensors: equal, as measured by the largest number there is."""
    found, expected = ({"": x} if isinstance(x, torch.Tensor) else x for x in (found, expected))
    assert found.keys() == expected.keys()
    largest = max(float(each.detach().abs().max()) for each in expected.values())
    for name, each in expected.items():
        torch.testing.assert_close(found[name].detach(), each.detach(), rtol=0, atol=tolerance * max(largest, 1e-30))


# Meta-learning on a line


def half_square(weights, x, y):
    return ((weights["w"] * x - y) ** 2 / 2).sum()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_first_and_second_order_are_as_derived(steps):
    """Else FOMAML would be MAML under another name, or neither of them."""
    w, rate, (xs, ys), (xq, yq) = 0.7, 0.05, (1.7, -0.4), (-1.1, 2.0)
    adapted = w
    for _ in range(steps):
        adapted -= rate * xs * (adapted * xs - ys)
    first_order = xq * (adapted * xq - yq)
    expected = {"fomaml": first_order, "maml": (1 - rate * xs**2) ** steps * first_order, "reptile": w - adapted}
    pairs = [torch.tensor(value) for value in (xs, ys, xq, yq)]
    for rule, by_hand in expected.items():
        [found] = meta_gradients(rule, half_square, {"w": torch.tensor(w)}, pairs[:2], pairs[2:], rate, steps)
        assert found["w"].item() == pytest.approx(by_hand, rel=1e-5)
    joint, then = meta_gradients("released", half_square, {"w": torch.tensor(w)}, pairs[:2], pairs[2:], rate, steps)
    assert joint["w"].item() == pytest.approx(xs * (w * xs - ys), rel=1e-5)
    assert then["w"].item() == pytest.approx(first_order, rel=1e-5)


def test_reptile_with_one_step_is_a_scaled_step_of_joint_training():
    """Else the chapter would say something false of it; with two steps it is another thing."""
    weights, (x, y) = {"w": torch.randn(5)}, (torch.randn(5), torch.randn(5))
    [once] = meta_gradients("reptile", half_square, weights, (x, y), (None, None), 0.1, 1)
    close(once, {"w": 0.1 * grad(half_square)(weights, x, y)["w"]})
    [two] = meta_gradients("reptile", half_square, weights, (x, y), (None, None), 0.1, 2)
    assert not torch.allclose(two["w"], 2 * once["w"], rtol=1e-3)


def test_an_inner_loop_is_an_ordinary_optimisers():
    """Else the plain functions would take other steps than torch does."""
    model, (x, y) = nn.Linear(3, 2), (torch.randn(7, 3), torch.randn(7, 2))

    def loss(weights, x, y):
        return (functional_call(model, weights, (x,)) - y).square().mean()

    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = practise(loss, start, (x, y), 0.1, 3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (model(x) - y).square().mean().backward()
        optimiser.step()
    close(found, dict(model.named_parameters()))


# Algorithm 1


def by_optimisers(network, own, w, rates=RATES, optimiser=torch.optim.SGD):
    """Lines 4 to 11 for one speaker with copies, three passes and torch's optimisers; the gradients of each stage."""
    network = copy.deepcopy(network)
    descent = optimiser(network.meta.parameters(), lr=rates.alpha)
    for j in range(own.levels.shape[1]):  # three passes, whose gradients add up
        each = cross_entropy(network.meta(own.inputs), own.levels[:, j], reduction="none")
        share = w.levels[j][own.levels[:, j]]
        ((share * each).mean() / own.levels.shape[1]).backward()
    practised = {k: p.grad.clone() for k, p in network.meta.named_parameters()}
    descent.step()

    def emotions_loss():
        each = cross_entropy(network(own.inputs), own.emotions, reduction="none")
        share = w.emotions[own.emotions]
        return (share * each).mean()

    network.zero_grad()
    emotions_loss().backward()
    moved = {k: p.grad.clone() for k, p in network.transfer.named_parameters()}
    optimiser(network.transfer.parameters(), lr=rates.beta).step()
    network.zero_grad()
    emotions_loss().backward()
    fine = {k: p.grad.clone() for k, p in network.named_parameters()}
    return cai2020.whole(practised, moved), fine, network


@pytest.mark.parametrize("adam", [False, True])
def test_a_step_is_that_of_ordinary_optimisers_on_copies(network, adam):
    """Else equations 4 to 7 would be something else in code; it also says that one pass is three."""
    rates, tolerance = (Rates(0.05, 0.025, True), 5e-3) if adam else (RATES, 1e-5)
    own, w = someone(), uneven()
    practised, fine, adapted = by_optimisers(network, own, w, rates, torch.optim.Adam if adam else torch.optim.SGD)
    [found], losses = speaker_step(network, own, w, rates, "fomaml")
    close(found, fine, tolerance)
    both, _ = speaker_step(network, own, w, rates, "released")
    close(both[0], practised, tolerance)
    close(both[1], fine, tolerance)
    if not adam:  # of a gradient that is next to nothing Adam takes the sign, and rounding decides it
        [towards], _ = speaker_step(network, own, w, rates, "reptile")
        close(towards, {k: p - dict(adapted.named_parameters())[k] for k, p in network.named_parameters()}, 1e-4)
    assert losses.shape == (3,) and losses[2] < losses[1]  # phi has learnt in between


def test_reptile_is_joint_training_here_too(network):
    """Else the chapter would call a rule meta-learning that is not: one inner step, scaled by its rate."""
    own, w = someone(), even()
    practised, _ = multi_train(network.meta, dict(network.meta.named_parameters()), own, w, same)
    [towards], _ = speaker_step(network, own, w, RATES, "reptile")
    found = {k.removeprefix("meta."): each / RATES.alpha for k, each in towards.items() if k.startswith("meta.")}
    close(found, practised, 1e-4)


def test_first_order_is_not_second_order_and_differs_as_derived(network):
    """Else a Hessian would be hidden in it, or the inner step not matter."""
    own, w, alpha = someone(), even(), 0.5
    network.double()
    own = own._replace(inputs=own.inputs.double())
    theta = {k: p.detach() for k, p in network.meta.named_parameters()}

    def support(theta):
        return cai2020.bins_loss(functional_call(network.meta, theta, (own.inputs,))[:, None], own.levels, w.levels)

    def query(theta):
        logits = network.transfer(functional_call(network.meta, theta, (own.inputs,)))
        return weighted_loss(logits, own.emotions, w.emotions)

    adapted = descend(theta, grad(support)(theta), alpha)
    first = grad(query)(adapted)
    second = grad(lambda theta: query(descend(theta, grad(support)(theta), alpha)))(theta)
    hessian_times = grad(lambda theta: sum((grad(support)(theta)[k] * first[k]).sum() for k in first))(theta)
    close({k: first[k] - alpha * hessian_times[k] for k in first}, second, 1e-4)
    assert any((first[k] - second[k]).abs().max() > 1e-3 * first[k].abs().max() for k in first)


def test_one_pass_is_three(network):
    """Else the exact shortcut would not be exact: the mean of three losses has the mean of their gradients."""
    own, w, theta = someone(), uneven(), dict(network.meta.named_parameters())
    once, loss = multi_train(network.meta, theta, own, w, same)
    passes = [
        multi_train(
            network.meta, theta, own._replace(levels=own.levels[:, [j]]), w._replace(levels=w.levels[[j]]), same
        )
        for j in range(3)
    ]
    close(once, {k: sum(gradients[k] for gradients, _ in passes) / 3 for k in once})
    close(loss, sum(each for _, each in passes) / 3)


def test_one_pass_is_three_in_the_real_network():
    """Else a recurrent layer or a pooling might know better."""
    network, own, w = cai2020.make_model("MMTL").eval(), someone(segments=2), even()
    theta = dict(network.meta.named_parameters())
    once, _ = multi_train(network.meta, theta, own, w, same)
    three = [
        multi_train(network.meta, theta, own._replace(levels=own.levels[:, [j]]), even(1), same)[0] for j in range(3)
    ]
    close(once, {k: sum(each[k] for each in three) / 3 for k in once})


def test_speakers_side_by_side_are_speakers_one_after_the_other(network):
    """Else what the bench tries with vmap would be something else than what is trained."""
    people, w = [someone(seed=seed) for seed in range(3)], even()
    theta = {k: p.detach() for k, p in network.meta.named_parameters()}

    def support(theta, inputs, levels):
        logits = functional_call(network.meta, theta, (inputs,))
        return torch.stack([cross_entropy(logits, column) for column in levels.unbind(1)]).mean()

    inputs, levels = (torch.stack([getattr(own, key) for own in people]) for key in ("inputs", "levels"))
    together = vmap(grad(support), in_dims=(None, 0, 0))(theta, inputs, levels)
    for number, own in enumerate(people):
        alone, _ = multi_train(network.meta, dict(network.meta.named_parameters()), own, w, same)
        close({k: each[number] for k, each in together.items()}, alone, 1e-5)


@pytest.mark.parametrize("rule", ["fomaml", "reptile", "released"])
def test_speakers_do_not_influence_one_anothers_inner_updates(network, rule):
    """Else one speaker's weights would start from another's, or the order of speakers matter."""
    people, w = [someone(str(seed), segments=3 + seed, seed=seed) for seed in range(3)], uneven()

    def gradients(batch):
        backward, found = meta_backward(w, RATES, rule, []), []
        for part in twice([batch]) if rule == "released" else [batch]:
            backward(network, part, same)
            found.append({k: p.grad.clone() for k, p in network.named_parameters()})
        return found

    together = gradients(people)
    before = {k: p.detach().clone() for k, p in network.named_parameters()}
    for number, found in enumerate(together):
        alone = [gradients([own])[number] for own in people]
        close(found, {k: sum(each[k] for each in alone) for k in found}, 1e-5)
        close(gradients(people[::-1])[number], found, 1e-5)
    close(dict(network.named_parameters()), before, 0)  # only the optimiser moves them


@pytest.mark.parametrize("rule", ["fomaml", "reptile", "released"])
def test_a_scale_changes_the_gradients_and_no_inner_step(network, rule):
    """Else half precision would adapt with thousands of times the rate."""
    own, w = someone(), uneven()
    for factor in (1.0, 1024.0):
        meta_backward(w, RATES, rule, [])(network, [own], lambda loss, f=factor: f * loss)
        found = {k: p.grad / factor for k, p in network.named_parameters()}
        if factor == 1:
            expected = found
    close(found, expected, 1e-4)


def test_the_released_rule_takes_two_updates_of_which_the_second_was_computed_before_the_first(network):
    """Else its fine-tuning would start from weights that its first step has already moved."""
    own, w = someone(), uneven()
    practised, fine, _ = by_optimisers(network, own, w)
    backward, optimiser = meta_backward(w, RATES, "released", []), torch.optim.SGD(network.parameters(), lr=0.1)
    start = {k: p.detach().clone() for k, p in network.named_parameters()}
    losses = []
    for part in twice([[own]]):
        optimiser.zero_grad()
        losses.append(backward(network, part, same))
        optimiser.step()
    moved = {k: start[k] - 0.1 * (practised[k] + fine[k]) for k in start}
    close(dict(network.named_parameters()), moved, 1e-5)
    assert losses[0] == losses[1]


# Losses and weights


def test_a_rare_class_counts_more_and_an_absent_one_nothing():
    """Else an empty bin would divide by zero, as it does in the released code."""
    found = class_weights(torch.tensor([0, 0, 0, 0, 1, 1, 3, -1]))
    assert found.tolist() == pytest.approx([1 / 4, 1 / 2, 0, 1])
    assert class_weights(torch.tensor([-1, -1])).tolist() == [0, 0, 0, 0]
    assert class_weights(torch.tensor([], dtype=torch.long)).tolist() == [0, 0, 0, 0]


def test_what_was_not_rated_does_not_count():
    """Else a -1 would be a class, or make the loss of a speaker without ratings NaN."""
    logits = torch.randn(5, 4, requires_grad=True)
    labels = torch.tensor([0, -1, 2, -1, 1])
    known = labels >= 0
    expected = cross_entropy(logits[known], labels[known])
    close(weighted_loss(logits, labels, torch.ones(4)), expected)
    alone = cross_entropy(logits[[4]], labels[[4]])
    close(weighted_loss(logits[[4]], labels[[4]], torch.tensor([1, 0.25, 1, 1])), 0.25 * alone)  # not lost in a mean
    nothing = weighted_loss(logits, torch.full((5,), -1), torch.ones(4))
    [gradient] = torch.autograd.grad(nothing, logits)
    assert nothing == 0 and not gradient.any()
    assert weighted_loss(logits, torch.full((5,), 3), torch.tensor([1.0, 1, 1, 0])) == 0


def test_a_second_softmax_never_lets_the_loss_fall_below_its_floor():
    """Else `double_softmax` would not be the released code's."""
    sure = torch.tensor([[50.0, 0, 0, 0]])
    own = Brought("s", sure, torch.tensor([0]), torch.tensor([[0]]))
    for double, least in ((False, 0), (True, -math.log(math.e / (math.e + 3)))):
        w = even(1)._replace(double_softmax=double)
        assert w.on_emotions(sure, own).item() == pytest.approx(least, abs=1e-4)
        assert w.on_bins(sure[:, None], own).item() == pytest.approx(least, abs=1e-4)
    assert least == pytest.approx(0.744, abs=5e-4)


# What is heard, and brought


@pytest.mark.parametrize("seconds", [0.06, 0.7, 3.0, 3.01, 7.5])
def test_segments_are_equal_parts_of_at_most_three_seconds(seconds):
    """Else they would not be the 4432 of the paper, or their labels be those of others."""
    waveform = np.random.default_rng(0).normal(size=round(16_000 * seconds)).astype(np.float32)
    parts = decibels(waveform)
    assert len(parts) == equal_parts([seconds])[0]
    frames = [len(part) for part in parts]
    assert max(frames) <= 300 and max(frames) - min(frames) <= 1
    assert abs(sum(frames) - 100 * seconds) <= len(parts)
    for part in parts:
        assert part.shape[1] == 200 and filled(part).shape == filled(part, True).shape == (300, 200)


def test_normalised_then_filled_up_or_the_other_way():
    """Else the default would be the released code's bright block, or the experiment the default."""
    part = np.random.default_rng(0).normal(-40, 5, (100, 200))
    ours, released = filled(part).numpy(), filled(part, padded_first=True).numpy()
    assert ours[:100].mean() == pytest.approx(0, abs=1e-4) and ours[:100].std() == pytest.approx(1, abs=1e-4)
    assert not ours[100:].any()
    assert released.mean() == pytest.approx(0, abs=1e-4) and released.std() == pytest.approx(1, abs=1e-4)
    assert np.ptp(released[100:]) == 0 and released[100, 0] > released[:100].max()


def test_a_speaker_brings_own_segments_with_own_labels(task):
    """Else a segment would be learnt with another utterance's emotion or bins."""
    rows = task.folds[0].train[::-1]
    people = brought_by(task, rows, "MMTL, V+A")
    assert [own.speaker for own in people] == sorted(set(task.table["speaker"].iloc[rows]))
    for own in people:
        mine = rows[(task.table["speaker"].iloc[rows] == own.speaker).to_numpy()]
        counts = equal_parts(task.table["duration"].iloc[mine])
        assert own.emotions.tolist() == np.repeat(task.labels[mine], counts).tolist()
        expected = np.stack([task.auxiliary[each][mine] for each in ("valence", "activation")], 1)
        assert own.levels.tolist() == np.repeat(expected, counts, axis=0).tolist()
        assert own.inputs.shape == (counts.sum(), 300, 200) and own.inputs.dtype == torch.float32


@pytest.mark.parametrize("sizes", [(20, 10, 5), (8, 1, 1), (3, 3, 3), (65, 26)])
def test_speakers_bring_in_proportion_and_every_segment_once(sizes):
    """Else those who speak little would be heard more often, or some segments never."""
    people = [someone(str(place), 1) for place in range(len(sizes))]
    people = [p._replace(emotions=torch.arange(n)) for p, n in zip(people, sizes, strict=True)]
    people = [p._replace(inputs=p.emotions, levels=p.emotions) for p in people]
    steps = [*steps_of(people, 8, torch.Generator().manual_seed(0))]
    assert len(steps) == math.ceil(max(sizes) / 8)
    for own, size in zip(people, sizes, strict=True):
        brought = [each.emotions for step in steps for each in step if each.speaker == own.speaker]
        assert torch.cat(brought).sort().values.tolist() == [*range(size)]
        assert {len(part) for part in brought} <= {max(1, size // len(steps)), math.ceil(size / len(steps))}
        assert max(map(len, brought)) <= 8
    again = [*steps_of(people, 8, torch.Generator().manual_seed(0))]
    other = [*steps_of(people, 8, torch.Generator().manual_seed(1))]
    assert all(torch.equal(a[0].emotions, b[0].emotions) for a, b in zip(steps, again, strict=True))
    assert not all(torch.equal(a[0].emotions, b[0].emotions) for a, b in zip(steps, other, strict=True))


# Names and networks


def test_a_name_says_which_tasks_are_practised(task):
    """Else table 3 would be one row seven times."""
    full = {"V": "valence", "A": "activation", "D": "dominance"}
    for letters in (*cai2020.SUBSETS, "V+A+D"):
        name = "MMTL" if letters == "V+A+D" else f"MMTL, {letters}"
        assert practised_by(name, task) == tuple(full[letter] for letter in letters.split("+"))
    assert practised_by("CNN_LSTM", task) == practised_by("CNN_LSTM + angular softmax", task) == ()
    assert practised_by("CNN_LSTM + MTL", task) == protocols.DIMENSIONS
    assert models_for(task) == [*cai2020.MODELS]
    mapped = dataclasses.replace(task, auxiliary={k: task.auxiliary[k] for k in ("valence", "activation")})
    assert models_for(mapped) == [
        *("MMTL, V", "MMTL, A", "MMTL, V+A", "CNN_LSTM", "CNN_LSTM + angular softmax", "CNN_LSTM + MTL, V+A")
    ]


def test_the_angular_softmax_by_its_definition(small_networks):
    """Else the margin would be another one than that of Liu 2017, or stand where the class is wrong, or in testing."""
    torch.manual_seed(0)
    network, margin = cai2020.Angular().eval(), 2
    inputs, right = torch.randn(40, 300, 200), torch.arange(40) % 4
    with torch.no_grad():
        network.directions.weight.normal_()  # some angles are obtuse
        heard, tested, trained = network.trunk(inputs), network(inputs), network(inputs, right)
    for x, label, plain, narrow in zip(heard, right, tested, trained, strict=True):
        for c, direction in enumerate(network.directions.weight.detach()):
            length = math.sqrt(sum(float(v) ** 2 for v in x))
            angle = math.acos(float(x @ direction) / length / float(direction.norm()))
            k = math.floor(margin * angle / math.pi)
            wide, narrower = math.cos(angle), (-1) ** k * math.cos(margin * angle) - 2 * k
            assert float(plain[c]) == pytest.approx(length * wide, abs=1e-4)
            assert float(narrow[c]) == pytest.approx(length * (narrower if c == label else wide), abs=1e-4)
    assert (tested.gather(1, right[:, None]) < 0).any() and (tested.gather(1, right[:, None]) > 0).any()


def test_table_1():
    """Else it would not be the network of the paper."""
    network = cai2020.make_model("MMTL")
    theta, phi = (sum(p.numel() for p in part.parameters()) for part in (network.meta, network.transfer))
    assert (theta, phi, theta + phi) == (1_035_916, 20, 1_035_936)
    inputs = torch.randn(2, 300, 200)
    network.eval()
    assert network.meta(inputs).shape == network(inputs).shape == (2, 4) and network.bins(inputs).shape == (2, 1, 4)
    close(network(inputs), network.transfer(network.bins(inputs)[:, 0]))
    shared = cai2020.make_model("CNN_LSTM + MTL").eval()
    assert shared(inputs).shape == (2, 4) and shared.bins(inputs).shape == (2, 3, 4)
    assert len({id(p) for p in network.practising()} & {id(p) for p in network.transfer.parameters()}) == 0
    assert len({id(p) for p in shared.practising()} & {id(p) for p in shared.emotions.parameters()}) == 0


# Who is told what


def poisoned(task, rows, levels=True, labels=True):
    """A task in which whoever looks at a label of these rows fails: there is no such class."""

    def spoil(values, wanted):
        values = values.copy()
        values[rows] = 10**6 if wanted else values[rows]
        return values

    auxiliary = {name: spoil(each, levels) for name, each in task.auxiliary.items()}
    return dataclasses.replace(task, labels=spoil(task.labels, labels), auxiliary=auxiliary)


FEW = Adaptation(epochs=3, learning_rate=0.03, noted=(1, 3))


@pytest.fixture
def trained(task):
    return train(task, task.folds[0], "MMTL", Schedule(epochs=2, batch_size=4))[0]


def test_poison_is_poison(task, trained):
    """Else the next tests would pass whatever is looked at."""
    fold = task.folds[0]
    with pytest.raises((IndexError, RuntimeError)):
        adapted_to(trained, poisoned(task, fold.validation), "MMTL", fold.validation, fold.test, FEW)


def test_without_adaptation_no_test_label_is_touched(task):
    """Else the one evaluation that is comparable with other systems would not be."""
    [fold, *_] = task.folds
    spoiled = poisoned(task, fold.test)
    found, expected = (train(each, fold, "MMTL", Schedule(epochs=2, batch_size=4)) for each in (spoiled, task))
    assert [epoch["losses"] for epoch in found[1]] == [epoch["losses"] for epoch in expected[1]]
    said, before = answers(found[0], spoiled, fold, "MMTL"), answers(expected[0], task, fold, "MMTL")
    np.testing.assert_array_equal(said["scores"], before["scores"])
    np.testing.assert_array_equal(said["validation"]["scores"], before["validation"]["scores"])


def test_adapted_on_development_touches_no_test_label(task, trained):
    """Else what a network learns of the other speaker's bins would hide a leak."""
    [fold, *_] = task.folds
    asked = {"told": fold.validation, "asked": fold.test, "how": FEW}
    found = adapted_to(trained, poisoned(task, fold.test), "MMTL", **asked)
    np.testing.assert_array_equal(found, adapted_to(trained, task, "MMTL", **asked))
    assert found.shape == (3, len(fold.test), 4) and (np.ptp(found, axis=0).max() > 1e-4)


def test_as_published_is_told_the_bins_and_no_emotion(task, trained):
    """Else the leak would be larger than the paper's, or not be there."""
    [fold, *_] = task.folds
    asked = {"told": fold.test, "asked": fold.test, "how": FEW}
    found = adapted_to(trained, poisoned(task, fold.test, levels=False), "MMTL", **asked)
    np.testing.assert_array_equal(found, adapted_to(trained, task, "MMTL", **asked))
    other = dataclasses.replace(task, auxiliary={k: (v + 1) % 4 for k, v in task.auxiliary.items()})
    changed = adapted_to(trained, other, "MMTL", **asked)
    np.testing.assert_array_equal(found[0], changed[0])
    assert np.abs(found[-1] - changed[-1]).max() > 1e-4


def test_adapting_leaves_the_network_and_its_transfer_learner_alone(task, trained):
    """Else the next speaker would meet a network that has adapted to the one before."""
    [fold, *_] = task.folds
    before = copy.deepcopy(trained.state_dict())
    found = adapted_to(trained, task, "MMTL", fold.test, fold.test, FEW)
    assert all(torch.equal(each, before[name]) for name, each in trained.state_dict().items())
    np.testing.assert_array_equal(found, adapted_to(trained, task, "MMTL", fold.test, fold.test, FEW))
    inputs = cai2020.heard(task.table.iloc[fold.test])
    np.testing.assert_array_equal(found[0], posteriors(trained, inputs))


@pytest.fixture
def records(task, tmp_path):
    """A trained record of two folds and the record of its adaptation."""
    record = runs.reproduce(cai2020.CHAPTER, task, "MMTL", Schedule(2, batch_size=4), folder=tmp_path, folds=2)
    [adapted] = runs.run_all([adaptation_run(record, tmp_path, task, FEW)], tmp_path)
    return record, adapted


def test_the_six_evaluations(task, records):
    """Else a row of the table would be another evaluation than it says."""
    record, adapted = records
    views = evaluations(adapted)
    assert tuple(views) == cai2020.EVALUATIONS
    before = [fold["predicted"] for fold in views["no adaptation"].folds]
    assert before == [fold["predicted"] for fold in record.folds]
    for number, fold in enumerate(adapted.folds):
        own, other, half = (fold["told"][key] for key in ("own", "development", "half"))
        labels, chosen = fold["label"], np.array(fold["validation"]["label"])
        assert fold["noted"] == [0, 1, 3]
        assert np.shape(own["test"]) == np.shape(other["test"]) == np.shape(half["test"]) == (3, len(labels))
        assert own["test"][0] == other["test"][0] == half["test"][0] and own["validation"][0] == other["validation"][0]
        best = 1 + int(np.argmax([uar(labels, each) for each in own["test"][1:]]))  # who is adapted is adapted
        found = {name: view.folds[number]["predicted"] for name, view in views.items()}
        assert found["as published, chosen on test"] == own["test"][best]
        chosen_on = (("adapted on development", other), ("told the other half", half))
        for name, told in (*chosen_on, ("as published, chosen on development", own)):
            at = 1 + int(np.argmax([uar(chosen, each) for each in told["validation"][1:]]))
            assert found[name] == told["test"][at]
        assert found["bins alone"] == from_bins_alone(task, task.folds[number], "MMTL").tolist()
    scores = {name: view.scores()["uar"][0] for name, view in views.items()}
    assert scores["as published, chosen on test"] >= scores["as published, chosen on development"]
    curves = over_steps(adapted)
    assert curves.index.tolist() == [0, 1, 3] and len({*curves.iloc[0]}) == 1
    assert curves.iloc[0, 0] == pytest.approx(100 * scores["no adaptation"])


def test_told_the_other_half_no_utterance_is_told_its_own_bins(task, tmp_path, records):
    """Else the control would be the leak that it is to be compared with."""
    record, adapted = records
    fold, speakers = task.folds[0], task.table["speaker"].to_numpy()
    own = fold.test[speakers[fold.test] == speakers[fold.test[0]]]
    first, second = own[::2], own[1::2]
    asked = dict(told=second, asked=first, how=FEW)
    network = runs.load(cai2020.make_model("MMTL"), tmp_path, record, fold.name)
    found = adapted_to(network, poisoned(task, first), "MMTL", **asked).argmax(-1)
    np.testing.assert_array_equal(found, np.array(adapted.folds[0]["told"]["half"]["test"])[:, : len(own) : 2])


def test_a_choice_on_development_never_sees_the_test_emotions(task, records):
    """Else "chosen on development" would be a name."""
    _, adapted = records
    spoiled = copy.deepcopy(adapted)
    for fold in spoiled.folds:
        fold["label"] = [(label + 1) % 4 for label in fold["label"]]
    found, before = evaluations(spoiled), evaluations(adapted)
    for name in set(cai2020.EVALUATIONS) - {"as published, chosen on test"}:
        parts = zip(found[name].folds, before[name].folds, strict=True)
        assert all(one["predicted"] == other["predicted"] for one, other in parts), name


def test_several_tested_speakers_are_adapted_to_one_by_one(task, trained):
    """Else the weights for one of them would know the bins of the other."""
    [fold, *_] = task.folds
    speakers = task.table["speaker"].iloc[fold.test].to_numpy()
    assert len(set(speakers)) == 2
    record = runs.Record("MMTL", "papers.cai2020", "c", "p", list(task.classes), {}, 0, {}, {}, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cai2020, "load", lambda *_: trained)
        outcome = cai2020._adapt(record, None, task, FEW, fold, None)
    for speaker in set(speakers):
        rows = fold.test[speakers == speaker]
        alone = adapted_to(trained, task, "MMTL", rows, rows, FEW).argmax(-1)
        np.testing.assert_array_equal(np.array(outcome["told"]["own"]["test"])[:, speakers == speaker], alone)


def test_the_oracle_is_always_right_where_bins_are_the_emotion(table, small_networks):
    """Else the leak of mapped levels would not be complete, as the chapter says it is."""
    bare = table.assign(**dict.fromkeys(protocols.DIMENSIONS, np.nan))
    bare.attrs["corpus"] = "bare"
    task = protocols.cai2020(bare)
    for fold in task.folds:
        assert (from_bins_alone(task, fold, "MMTL, V+A") == task.labels[fold.test]).all()
        one = from_bins_alone(task, fold, "MMTL, V")
        assert uar(task.labels[fold.test], one) == 0.5
    spoiled = poisoned(task, task.folds[0].test, levels=False)
    expected = from_bins_alone(task, task.folds[0], "MMTL, V")
    np.testing.assert_array_equal(from_bins_alone(spoiled, spoiled.folds[0], "MMTL, V"), expected)


# The whole


def test_recompute_and_its_table(table, task, tmp_path, monkeypatch):
    """Else the command would stop, or a table miss a row or confuse two."""
    rng = np.random.default_rng(0)

    def noise(rows, _):
        return [rng.normal(size=88) for _ in range(len(rows))]

    monkeypatch.setattr(cai2020, "extract", noise)
    monkeypatch.setattr("serlib.baselines.extract", noise)
    how = {"schedule": Schedule(1, batch_size=4), "adaptation": FEW, "seeds": (0,), "folds": 1}
    records = recompute(table, tmp_path, models=["MMTL, V", "CNN_LSTM", "CNN_LSTM + MTL"], **how)
    names = ["eGeMAPS + linear SVM", "eGeMAPS + bins + linear SVM", "MMTL, V", "CNN_LSTM", "CNN_LSTM + MTL"]
    assert [record.model for record in records] == [*names, "MMTL, V (adapted)", "CNN_LSTM + MTL (adapted)"]
    shown = results_table(records).xs("UAR", level="score").droplevel(0)
    adapted = ["MMTL, V (adapted)", "CNN_LSTM + MTL (adapted)"]
    assert [*shown.index] == names + adapted and (shown["tested"] == 16).all()
    assert (shown.loc[names, [*cai2020.EVALUATIONS[1:]]] == "").all(axis=None)  # nothing was told to them
    assert (shown.loc[adapted] != "").all(axis=None)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    recompute(table, tmp_path, models=["MMTL, V", "CNN_LSTM", "CNN_LSTM + MTL"], **how)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")} == before


def test_seeds_are_averaged_over_the_same_folds():
    """Else a mean would be of one actor under one seed and of ten under another."""
    rows = {"utterance_id": ["a", "b"], "label": [0, 1], "seconds": 1.0, "updates": 5}
    right, wrong = ({**rows, "name": n, "speaker": [n, n], "predicted": p} for n, p in (("1", [0, 1]), ("2", [1, 0])))
    about = ("MMTL", "papers.cai2020", "a corpus", "cai2020", ["one", "other"], {"rule": "fomaml"})
    both, first, again = (
        runs.Record(*about, seed, {}, {}, folds) for seed, folds in enumerate([[right, wrong], [right], [wrong, wrong]])
    )
    assert results_table([first]).loc[("a corpus", "MMTL", "UAR"), "tested"] == 2
    shown = results_table([both, first, again]).loc[("a corpus", "MMTL", "UAR")]
    assert shown["tested"] == 4 and shown["no adaptation"] == "25.0 ± 35.4 (n=2)"  # of 50 and 0


def test_every_departure_is_another_training(task):
    """Else an experiment would compare a thing with itself."""
    changes = [{}, {"rule": "reptile"}, {"rule": "released"}, {"padding": "first"}, {"double_softmax": True}]
    changes += [{"alpha": 0.5}, {"beta": 0.5}, {"learning_rate": 0.1}, {"batch_size": 2}]
    found = []
    for change in changes:
        schedule = Schedule(**{"epochs": 2, "batch_size": 4} | change)
        network, history = train(task, task.folds[0], "MMTL", schedule)
        found.append(tuple(loss for epoch in history for loss in epoch["losses"]))
        assert bool(cai2020.front_of(network).padded_first) == (change.get("padding") == "first")
    assert len({*found}) == len(changes)


def test_a_network_hears_in_testing_as_it_heard_in_training(task, tmp_path):
    """Else padding="first" would be tested on the other padding, as soon as it is read from disk."""
    schedule, [fold, *_] = Schedule(1, batch_size=8, padding="first"), task.folds
    record = runs.reproduce(cai2020.CHAPTER, task, "MMTL", schedule, folder=tmp_path, folds=1)
    network = runs.load(cai2020.make_model("MMTL"), tmp_path, record, fold.name)
    assert bool(cai2020.front_of(network).padded_first)
    inputs = cai2020.heard(task.table.iloc[fold.test], True)
    np.testing.assert_allclose(posteriors(network, inputs), record.folds[0]["scores"], atol=6e-5)


# Bad input


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        ({"rule": "maml"}, "MMTL", "rule is fomaml or reptile or released, not 'maml'"),
        ({"rule": "reptile"}, "CNN_LSTM + MTL", "does not learn to adapt"),
        ({"padding": "last"}, "MMTL", "padding is 'first' or None"),
    ],
)
def test_a_setting_that_cannot_be(task, change, name, message):
    """Else it would be noted in the record and not be used."""
    with pytest.raises(InputError, match=message):
        train(task, task.folds[0], name, Schedule(**change))


def test_ratings_that_are_missing_are_named(task):
    """Else a corpus without dominance would raise a KeyError, or be trained on something else."""
    fold = task.folds[0]
    mapped = dataclasses.replace(task, auxiliary={k: task.auxiliary[k] for k in ("valence", "activation")})
    with pytest.raises(InputError, match="MMTL practises valence, activation, dominance.*no dominance under cai2020"):
        train(mapped, fold, "MMTL", Schedule(1))
    bare = dataclasses.replace(task, auxiliary={})
    with pytest.raises(InputError, match="has neither ratings nor emotions to map: no valence, activation under"):
        train(bare, fold, "MMTL, V+A", Schedule(1))
    train(bare, fold, "CNN_LSTM", Schedule(1, batch_size=8))
    with pytest.raises(InputError, match="no development speaker to choose on"):
        train(task, dataclasses.replace(fold, validation=fold.validation[:0]), "MMTL", Schedule(1, batch_size=8))


@pytest.mark.parametrize("rule", ["fomaml", "reptile", "released"])
def test_a_speaker_with_an_empty_bin_one_without_ratings_and_one_with_one_segment(task, rule):
    """Else one odd speaker would stop the training of all, or turn it into NaN."""
    fold, auxiliary = task.folds[0], {name: levels.copy() for name, levels in task.auxiliary.items()}
    speakers = task.table["speaker"].to_numpy()
    silent, odd = sorted(set(speakers[fold.train]))
    for levels in auxiliary.values():
        levels[speakers == silent] = -1
        levels[(speakers == odd) & (levels == 0)] = 3
    few = np.concatenate([fold.train[speakers[fold.train] == silent], fold.train[speakers[fold.train] == odd][:1]])
    spoiled = dataclasses.replace(task, auxiliary=auxiliary)
    for rows in (fold.train, few):
        part = dataclasses.replace(fold, train=rows)
        network, history = train(spoiled, part, "MMTL", Schedule(3, batch_size=2, rule=rule))
        assert all(np.isfinite(epoch["losses"]).all() for epoch in history)
        assert np.isfinite(adapted_to(network, spoiled, "MMTL", rows[speakers[rows] == odd], rows, FEW)).all()
        with pytest.raises(InputError, match=f"{silent} of .* has no ratings to adapt to"):
            adapted_to(network, spoiled, "MMTL", rows[speakers[rows] == silent], rows, FEW)


def test_the_number_of_training_speakers_is_the_corpus_own(task):
    """Else eight would be written somewhere."""
    for names in (["s0"], ["s0", "s1"], ["s0", "s1", "s2", "s4"]):
        rows = np.flatnonzero(task.table["speaker"].isin(names))
        fold = dataclasses.replace(task.folds[0], train=rows)
        assert [own.speaker for own in brought_by(task, rows, "MMTL")] == names
        train(task, fold, "MMTL", Schedule(1, batch_size=4))


@pytest.mark.parametrize(("stage", "spoil"), [("the multi-train stage", "levels"), ("the transfer stage", "emotions")])
def test_divergence_names_the_speaker_and_the_stage_and_keeps_the_last_good_epoch(
    task, tmp_path, monkeypatch, stage, spoil
):
    """Else a night would end with "not a finite number", and with nothing to go on from."""
    path, seen, loss = (
        tmp_path / "checkpoint",
        [],
        getattr(ClassWeights, f"on_{'bins' if spoil == 'levels' else spoil}"),
    )

    def broken(self, logits, own):
        value = loss(self, logits, own)
        return value * (float("nan") if len(seen) == 2 and own.speaker == "s4" else 1)

    monkeypatch.setattr(ClassWeights, f"on_{'bins' if spoil == 'levels' else spoil}", broken)
    schedule = Schedule(5, batch_size=4)
    with pytest.raises(FloatingPointError, match=f"Speaker s4, {stage} of step 1 of this epoch: The loss is no longer"):
        train(task, task.folds[0], "MMTL", schedule, 0, path, lambda history: seen.append(len(history)))
    assert seen == [1, 2] and path.exists()
    monkeypatch.undo()
    assert len(torch.load(path, weights_only=True)["history"]) == 2


def test_divergence_in_adapting_names_the_speaker(task, trained):
    """Else one would not know whose ratings to look at."""
    fold = task.folds[0]
    with pytest.raises(FloatingPointError, match="Adapting to speaker s2: The network no longer answers"):
        adapted_to(trained, task, "MMTL", fold.validation, fold.test, dataclasses.replace(FEW, learning_rate=1e30))


def test_weights_of_a_speaker_without_tasks():
    """Else a network that practises nothing could not be trained by the same code."""
    w = weights_of([someone(tasks=0)])
    assert w.levels.shape == (0, 4) and w.emotions.max() == 1


def test_answers_that_are_no_numbers_are_no_emotion(task):
    """Else a network that broke down in its last step would be recorded as hearing anger."""
    network = cai2020.make_model("MMTL")
    with torch.no_grad():
        network.transfer.bias.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="no longer answers"):
        posteriors(network, [torch.zeros(1, 300, 200)])
