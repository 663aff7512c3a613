"""SATN: convolutions against loops, the transfer against paper and pencil, and a teacher that keeps to its fold."""

import dataclasses

import librosa
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from serlib import protocols, runs
from serlib.errors import InputError
from serlib.papers import zhao2021
from serlib.papers.zhao2021 import CausalConvolution, Schedule, Teacher, transfer_loss
from serlib.sequences import pad

WORDS = ["Kids talk.", "A dog sits", "by the door", "in the sun", "We see a zyxgrl"]


@pytest.fixture
def spoken(table):
    """The corpus of these tests, with transcripts."""
    attrs = table.attrs
    table = table[table["duration"] < 3].reset_index(drop=True)
    table["transcript"] = [WORDS[row % 5] for row in range(len(table))]
    table.attrs = attrs
    return protocols.zhao2021(table)


# Features


def test_deltas_are_a_regression_over_five_frames():
    """Else the slopes would be of another window, or the ends not repeated, or the second delta another filter."""
    mel = np.random.default_rng(0).normal(size=(9, 40)).astype(np.float32)
    found = zhao2021.with_deltas(mel)

    def slope(features):
        padded = np.pad(features, ((2, 2), (0, 0)), mode="edge")
        ahead = [n * (padded[2 + n : 11 + n] - padded[2 - n : 11 - n]) for n in (1, 2)]
        return sum(ahead) / 10

    np.testing.assert_allclose(found[:, :40], mel)
    np.testing.assert_allclose(found[:, 40:80], slope(mel), atol=1e-5)
    np.testing.assert_allclose(found[:, 80:], slope(slope(mel)), atol=1e-5)
    once = librosa.feature.delta(mel, width=5, order=2, axis=0, mode="nearest")
    assert np.abs(once - found[:, 80:]).max() > 0.1  # librosa's own second order is another thing


@pytest.mark.parametrize("samples", [0, 1, 399, 400, 401, 560, 16_000])
def test_filterbank_of_any_length(samples):
    """Else a click of an utterance, or an empty file, would stop a night's run."""
    found = zhao2021.filterbank(np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32))
    assert found.shape == (1 + max(0, samples - 400) // 160, 40) and np.isfinite(found).all()
    assert zhao2021.with_deltas(found).shape == (len(found), 120)


def test_filterbank_of_one_frame_by_hand():
    """Else pre-emphasis, window, power or triangles would not be those of Chen 2018."""
    wave = np.random.default_rng(0).normal(0, 0.1, 400).astype(np.float32)
    frame = np.array([wave[n] - 0.97 * (wave[n - 1] if n else 0) for n in range(400)])
    angles = 2 * np.pi * np.outer(np.arange(257), np.arange(400)) / 512
    power = ((np.cos(angles) @ frame) ** 2 + (np.sin(angles) @ frame) ** 2) / 512
    top = 2595 * np.log10(1 + 8000 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, 42) / 2595) - 1)
    bins = np.arange(257) * 16_000 / 512
    bands = []
    for left, peak, right in zip(corners, corners[1:], corners[2:], strict=False):
        up, down = (bins - left) / (peak - left), (right - bins) / (right - peak)
        bands.append(max(1e-10, (power * np.minimum(up, down).clip(0)).sum()))
    np.testing.assert_allclose(zhao2021.filterbank(wave)[0], np.log(bands), atol=1e-3)


# Temporal convolutions


def test_a_dilated_causal_convolution_is_equation_6():
    """Else a tap of the filter would lie on another frame."""
    convolve = CausalConvolution(3, 4, 3, dilation=2).double()
    features = torch.randn(2, 11, 3).double()
    with torch.no_grad():
        found, taps, bias = convolve(features), convolve.filters.weight, convolve.filters.bias
        for row in range(2):
            for s in range(11):
                total = bias.clone()
                for i in range(3):  # f(i) lies on frame s - d * i; the filter is stored back to front
                    if s - 2 * i >= 0:
                        total += taps[:, :, 2 - i] @ features[row, s - 2 * i]
                torch.testing.assert_close(found[row, s], total)


def test_what_is_to_come_is_not_heard():
    """Else the network would not be causal: poison in the future must not reach the past."""
    network, features = zhao2021.TCN(5, width=6).eval(), torch.randn(1, 40, 5)
    poisoned = features.clone()
    poisoned[:, 25:] = torch.nan
    with torch.no_grad():
        clean, found = network(features, None), network(poisoned, None)
    assert torch.equal(clean[:, :25], found[:, :25]) and found[:, 25:].isnan().all()


def test_the_receptive_field_is_125_frames():
    """Else a frame would depend on more, or fewer, of the past than the chapter says."""
    network, features = zhao2021.TCN(4, width=8).double().eval(), torch.randn(1, 160, 4).double().requires_grad_()
    for parameter in network.parameters():
        nn.init.uniform_(parameter, 0.1, 0.2)  # nothing is cut off by a rectifier
    network(features.abs(), None)[0, -1].sum().backward()
    reached = features.grad.abs().sum(-1)[0] > 0
    assert zhao2021.receptive_field() == 125 == int(reached.sum()) and reached[-125:].all()
    assert zhao2021.receptive_field(2) == 63 and zhao2021.receptive_field(2, convolutions=1) == 32


@pytest.mark.parametrize("name", zhao2021.ROWS[:2] + zhao2021.ROWS[4:6])
def test_an_utterance_shorter_than_the_receptive_field(name):
    """Else a "yes" of half a second, or of one frame, could not be answered."""
    network = zhao2021.make_model(name).eval()
    with torch.no_grad():
        scores = network(pad([torch.randn(1, 120), torch.randn(50, 120)]))
    assert scores.shape == (2, 4) and scores.isfinite().all()


@pytest.mark.parametrize("name", ["TCN", "TCN+hard attention", "CNN+self-attention", "TCN+self-attention w/luck", ""])
def test_a_network_that_is_none_is_named(name):
    """Else a slip of the pen in a list of runs would train something else."""
    with pytest.raises(InputError, match="There is no network"):
        zhao2021.make_model(name)
    with pytest.raises(InputError, match="no diagonal"):
        zhao2021.make_model("TCN+soft attention w/diagonal maps")


# The transfer


def test_the_transfer_loss_by_hand():
    """Else equation 12 would be another distance, or count padding, or weigh long utterances more."""
    student = torch.tensor([[[0.5, 0.5, 0], [1, 0, 0], [9, 9, 9]], [[1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    teacher = torch.tensor([[[1, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]]])
    # Rows differ by 1 and 2 in the first utterance, of two frames; by 0, 0 and 1 in the second.
    found = transfer_loss(student.float(), teacher.float(), torch.tensor([2, 3]))
    assert found.item() == pytest.approx((1.5 + 1 / 3) / 2)
    flat = transfer_loss(torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.25, 0.5, 0.25]]), torch.tensor([3]))
    assert flat.item() == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(2, 7), (2, 7, 7)])
def test_equal_maps_cost_nothing(shape):
    """Else a student that has become its teacher would still be pulled somewhere."""
    maps = torch.rand(shape).softmax(-1).requires_grad_()
    loss = transfer_loss(maps, maps.detach(), torch.tensor([7, 4]))
    assert loss.item() == 0


def test_maps_of_another_length_are_refused():
    """Else a student would be told to look at frames that it does not hear."""
    with pytest.raises(InputError, match="5 frames and the teacher's 6"):
        transfer_loss(torch.rand(1, 5, 5), torch.rand(1, 6, 6), torch.tensor([5]))


@pytest.mark.parametrize("name", ["TCN+self-attention", "TCN+soft attention"])
def test_a_batch_of_maps_is_padded_with_nothing(name):
    """Else the map of a short utterance would be that of its neighbour, or lie beside its own frames."""
    sequences = [torch.randn(frames, 120) for frames in (5, 9, 7)]
    teacher = Teacher(["a"], attention="self" if "self" in name else "soft").eval()
    maps = zhao2021.kept_maps(teacher, sequences)
    for (_, lengths), _, wanted in zhao2021.taught_batches(sequences, torch.arange(3), maps, 2):
        assert not wanted.isnan().any()
        for row, frames in enumerate(lengths.tolist()):
            number = [5, 9, 7].index(frames)
            own = zhao2021.map_of(teacher, sequences[number])
            inside = (slice(frames),) * own.ndim
            torch.testing.assert_close(wanted[row][inside], own, atol=1e-3, rtol=0)
            assert wanted[row].sum().item() == pytest.approx(own.sum().item(), abs=1e-2)


def test_the_maps_of_the_longest_utterance_fit_in_memory(monkeypatch):
    """Else 34 s of speech would ask for a map of 3400 by 3400: what is heard ends after 15 s."""
    wave = np.random.default_rng(0).normal(0, 0.1, 34 * 16_000).astype(np.float32)
    monkeypatch.setattr(zhao2021, "extract", lambda table, function: [function(wave)])
    [features] = zhao2021.heard(None)
    maps = zhao2021.kept_maps(Teacher(["a"]).eval(), [features])
    assert features.shape == (1500, 120) and maps(0).nbytes == 2 * 1500**2 == 4_500_000


@pytest.mark.parametrize("kind", (*zhao2021.CONTROLS[1:], *zhao2021.PLACES))
def test_controls_are_maps(kind):
    """Else a control would differ from the teacher's map by more than what it is a control for."""
    given = np.random.default_rng(0).dirichlet(np.ones(6), 6).astype(np.float32)
    found = zhao2021.control_maps(kind, lambda row: given, [6], 2)(0)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    if kind == "shuffled maps":
        np.testing.assert_allclose(np.sort(found, 1), np.sort(given, 1))
        assert np.abs(found - given).max() > 0.01
    if kind in zhao2021.PLACES:
        assert np.flatnonzero(found.any(0)) == [3 if kind == "middle frame" else 0]


def test_the_step_is_equation_11():
    """Else the emotion or the map would not count, or be weighed otherwise."""
    network = zhao2021.make_model("TCN+self-attention w/AT").eval()
    padded, targets = pad([torch.randn(6, 120), torch.randn(9, 120)]), torch.tensor([0, 2])
    wanted = torch.zeros(2, 9, 9)
    wanted[0, :6, :6], wanted[1] = 1 / 6, 1 / 9
    with torch.no_grad():
        scores, weights = network.listen(padded)
        emotion = nn.functional.cross_entropy(scores, targets)
        apart = transfer_loss(weights, wanted, padded[1])
    for weight in (0.0, 0.5, 100.0):
        loss = zhao2021.transferring(weight)(network, (padded, targets, wanted), lambda loss: loss)
        assert loss.item() == pytest.approx((emotion + weight * apart).item(), rel=1e-4)


def test_a_row_that_transfers_needs_a_weight(spoken):
    """Else W_AT would be a number that nobody chose."""
    with pytest.raises(InputError, match="give the schedule a `weight`"):
        zhao2021.train(spoken, spoken.folds[0], "TCN+self-attention w/AT", Schedule())


# The teacher


def test_phones_of_words_in_and_out_of_the_dictionary():
    """Else a word that no dictionary has would be lost, or be written in other symbols."""
    assert zhao2021.phones_of("It's the DOOR.") == ["IH", "T", "S", "|", "DH", "AH", "|", "D", "AO", "R"]
    unknown = zhao2021.phones_of("gizmotron")
    assert unknown == ["G", "IH", "Z", "M", "AH", "T", "R", "AA", "N"]
    assert zhao2021.phones_of("") == [] and zhao2021.phones_of("liegt", "de") == ["l", "i:", "k", "t"]


def test_error_rates_by_hand():
    """Else substitutions, deletions and insertions would be counted otherwise than in equation 13."""
    said = [["a", "b", "c", "d"], ["e"]]
    assert zhao2021.error_rate(said, [["a", "x", "d"], ["e", "f"]]) == pytest.approx(3 / 5)  # one of each kind
    assert zhao2021.error_rate(said, said) == 0
    assert zhao2021.error_rate(said, [[], []]) == 1
    assert zhao2021.error_rate([*said, []], [*said, ["z"]]) == 0  # an empty transcript is left out
    with pytest.raises(InputError, match="all of these are empty"):
        zhao2021.error_rate([[]], [["a"]])
    assert zhao2021.words_of(["D", "AO", "|", "AH", "|", "|"]) == ["D-AO", "AH"]


@pytest.fixture
def scribe():
    """A small teacher in eval mode whose scores differ."""
    torch.manual_seed(3)
    teacher = Teacher("abcde").eval()
    with torch.no_grad():
        teacher.write.weight.mul_(8)
        teacher.write.bias[zhao2021.END] += 1
    return teacher


def test_a_beam_of_one_is_greedy(scribe):
    """Else the two decoders would read the network differently."""
    for frames in (3, 20, 47):
        features = torch.randn(frames, 120)
        [greedy], _ = zhao2021.write_down(scribe, pad([features]))
        assert zhao2021.beam_search(scribe, features, 1) == greedy


def test_a_wide_beam_finds_what_is_at_least_as_likely(scribe):
    """Else a beam would lose the better text on its way."""

    def likelihood(features, text):
        memory, inside, _ = scribe.listen(pad([features]))
        carried, total = scribe.begin(memory), 0.0
        for previous, number in zip([zhao2021.START, *text], [*text, zhao2021.END], strict=True):
            scores, _, carried = zhao2021.next_phone(scribe, memory, inside, carried, torch.tensor([previous]))
            total += scores.log_softmax(-1)[0, number].item()
        return total / (len(text) + 1)

    with torch.no_grad():
        scribe.write.bias[zhao2021.END] += 1  # so that texts come to an end
        gains = []
        for seed in range(8):
            features = torch.randn(24, 120, generator=torch.Generator().manual_seed(seed))
            texts = [zhao2021.beam_search(scribe, features, width) for width in (1, 5)]
            if all(len(text) < 8 for text in texts):  # both have come to an end
                gains.append(np.diff([likelihood(features, text) for text in texts])[0])
    assert len(gains) > 3 and min(gains) >= -1e-6 and max(gains) > 0


def test_company_and_padding_change_nothing_of_what_is_written(scribe):
    """Else an alignment or a text would depend on who else is in the batch."""
    one, other = torch.randn(31, 120), torch.randn(64, 120)
    both, alignments = zhao2021.write_down(scribe, pad([one, other]))
    alone, [alignment] = zhao2021.write_down(scribe, pad([one]))
    ended = len(both[0]) < 11
    assert both[0][:11] == alone[0][:11] and (ended or len(both[0]) >= 11)
    rows = min(len(alignment), len(alignments[0]))
    torch.testing.assert_close(alignments[0][:rows], alignment[:rows], atol=1e-5, rtol=0)
    torch.testing.assert_close(alignment.sum(1), torch.ones(len(alignment)))


def test_the_loss_of_a_teacher_is_two(scribe):
    """Else a phone would be told itself, the end not be asked for, or padding be written."""
    sequences, texts = [torch.randn(30, 120), torch.randn(45, 120)], [torch.tensor([3, 4]), torch.tensor([5, 6, 7])]
    [batch] = zhao2021.spoken_batches(sequences, texts, 2, 1, None)
    found = zhao2021.recognition_loss(scribe, batch, lambda loss: loss).item()
    told, ctc = [], []
    with torch.no_grad():
        for features, text in zip(sequences, texts, strict=True):
            memory, inside, _ = scribe.listen(pad([features]))
            carried = scribe.begin(memory)
            for previous, wanted in zip([1, *text.tolist()], [*text.tolist(), 2], strict=True):
                scores, _, carried = zhao2021.next_phone(scribe, memory, inside, carried, torch.tensor([previous]))
                shares = scores[0].log_softmax(-1)
                told.append(-0.95 * shares[wanted] - 0.05 * shares.mean())
            own = scribe.align(memory).log_softmax(-1).transpose(0, 1)
            counts = torch.tensor([own.shape[0]]), torch.tensor([len(text)])
            ctc.append(nn.functional.ctc_loss(own, text[None], *counts))
    assert found == pytest.approx(float(np.mean(told) + np.mean(ctc)), rel=1e-4)
    alone = zhao2021.recognition_loss(scribe, batch, lambda loss: loss, ctc=0.0).item()
    assert alone == pytest.approx(float(np.mean(told)), rel=1e-4)


def test_a_teacher_never_hears_who_is_left_out(spoken, monkeypatch):
    """Else words and voices of the test would be in the maps that the student learns: by the ids of what it heard."""
    heard = []
    teach = zhao2021.teach

    def noted(table, *rest, **more):
        heard.append({*table["utterance_id"]})
        return teach(table, *rest, **more)

    monkeypatch.setattr(zhao2021, "teach", noted)
    for fold in spoken.folds[:3]:
        zhao2021.teacher_of(spoken, fold, "TCN", "self", None, 1)
        left_out = spoken.table.iloc[np.concatenate([fold.validation, fold.test])]
        speakers = {*spoken.table.set_index("utterance_id").loc[[*heard[-1]], "speaker"]}
        assert heard[-1] and not speakers & {*left_out["speaker"]}


def test_lessons_of_a_whole_corpus_leave_out_who_is_tested(spoken, monkeypatch):
    """Else a teacher of all that IEMOCAP says, of every emotion and with a script, would have heard the test."""
    more = spoken.table.assign(emotion="fear", utterance_id=spoken.table["utterance_id"] + "_script")
    whole = pd.concat([spoken.table, more, more.assign(duration=6.0)], ignore_index=True)
    asked = []
    monkeypatch.setattr(zhao2021.corpora, "load", lambda name: asked.append(name) or whole)
    licensed = dataclasses.replace(spoken, corpus="iemocap")
    for fold in spoken.folds[:3]:
        left_out = {*spoken.table["speaker"].iloc[np.concatenate([fold.validation, fold.test])]}
        for taught in (zhao2021.lessons(licensed, fold, None), zhao2021.lessons(spoken, fold, "synthetic")):
            assert left_out and not left_out & {*taught["speaker"]}
            assert "fear" in set(taught["emotion"]) and taught["duration"].max() < zhao2021.LESSON
            assert {*taught["speaker"]} | left_out == {*whole["speaker"]}
    assert asked == ["iemocap", "synthetic"] * 3


@torch.no_grad()
def test_a_teacher_that_sees_what_attention_brings_alone(spoken, monkeypatch):
    """Else the experiment that takes H away from H + Z would leave it there, or be made with the other teacher."""
    padded = pad([torch.randn(30, 120)])
    for attention, left in (("self", True), ("self alone", False)):
        listen = zhao2021.Listener(attention=attention).eval()
        listen.attend.value.weight.zero_()  # it brings nothing
        assert bool(listen(padded)[0].any()) == left
    asked = []
    monkeypatch.setattr(zhao2021, "teacher_of", lambda *of: asked.append(of[3]) or Teacher(["|"]).eval())
    given = (spoken, spoken.folds[0]), (0, [torch.randn(30, 120)])
    schedule = Schedule(weight=1.0, only_attended=True)
    for name, how in (("AT", Schedule(weight=1.0)), ("AT", schedule), ("shuffled maps", schedule)):
        zhao2021.wanted_maps(*given[0], f"TCN+self-attention w/{name}", how, *given[1])
    assert asked == ["self", "self alone", "self alone"]
    for name in ("TCN+soft attention w/AT", "TCN+self-attention w/uniform maps", "TCN+self-attention w/random teacher"):
        with pytest.raises(InputError, match="only_attended"):
            zhao2021.wanted_maps(*given[0], name, schedule, *given[1])


def test_the_leaky_teacher_hears_everybody(spoken, monkeypatch):
    """Else the experiment that measures the leak would not leak, or its teacher pass for one of the fold."""
    taught = []
    monkeypatch.setattr(zhao2021, "teach", lambda table, *rest: (taught.append(table), (Teacher(["|"]), []))[1])
    fold, sequences = spoken.folds[0], zhao2021.heard(spoken.table.head(2))
    for name in ("TCN+self-attention w/leaky teacher", "TCN+self-attention w/AT"):
        schedule = Schedule(weight=1.0, teacher_updates=2)
        zhao2021.wanted_maps(spoken, fold, name, schedule, 0, sequences)
    heard = [{*table["speaker"]} for table in taught]
    left_out = {*spoken.table["speaker"].iloc[np.concatenate([fold.validation, fold.test])]}
    assert len(taught[0]) == len(spoken.table) and left_out and heard[0] - heard[1] == left_out


def test_a_teacher_of_another_fold_is_refused(spoken, tmp_path):
    """Else a file that was mixed up would leak the test into the training."""
    first, third = spoken.folds[0], spoken.folds[2]
    table = spoken.table.iloc[first.train]
    zhao2021.keep_teacher(tmp_path / "a.safetensors", Teacher(["|", "AH"]), table)
    again = zhao2021.load_teacher(tmp_path / "a.safetensors", spoken, first, "TCN", "self")
    assert again.symbols == ("", "<", ">", "|", "AH") and not again.training
    with pytest.raises(InputError, match="this teacher is of another fold"):
        zhao2021.load_teacher(tmp_path / "a.safetensors", spoken, third, "TCN", "self")
    other_texts = table.assign(utterance_id="another " + table["utterance_id"])
    zhao2021.keep_teacher(tmp_path / "b.safetensors", Teacher(["|", "AH"]), other_texts)
    with pytest.raises(InputError, match="hears the voices of"):
        zhao2021.load_teacher(tmp_path / "b.safetensors", spoken, third, "TCN", "self")


def test_transcripts_that_are_missing_or_empty(spoken):
    """Else a row without words would stop the teacher, or a corpus without any be taught silence."""
    table = spoken.table.copy()
    table.loc[:3, "transcript"] = [pd.NA, "", "...", "12"]
    assert len(zhao2021.transcribed(table)) == len(table) - 4
    table["transcript"] = pd.NA
    mute = dataclasses.replace(spoken, table=table)
    with pytest.raises(InputError, match="has no transcripts"):
        zhao2021.train(mute, mute.folds[0], "TCN+self-attention w/AT", Schedule(weight=1.0))


@pytest.mark.parametrize("transfer", ["AT", *zhao2021.CONTROLS])
def test_transfer_pulls_the_student_to_its_map(spoken, transfer):
    """Else L_AT could be added, and change nothing."""
    name, fold = f"TCN+self-attention w/{transfer}", spoken.folds[0]
    schedule = Schedule(epochs=4, batch_size=8, learning_rate=1e-3, teacher_updates=2, weight=10.0)
    _, history = zhao2021.train(spoken, fold, name, schedule)
    assert np.mean(history[-1]["losses"]) < np.mean(history[0]["losses"])
    with_none, _ = zhao2021.train(spoken, fold, name, dataclasses.replace(schedule, weight=0.0))
    plain, _ = zhao2021.train(spoken, fold, "TCN+self-attention", dataclasses.replace(schedule, weight=None))
    for one, other in zip(with_none.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)  # without a weight it is the row without transfer


# Rivals


def test_an_extreme_learning_machine_is_least_squares():
    """Else its last layer would not be the closed form: scikit-learn's ridge on the same hidden units says the same."""
    rng = np.random.default_rng(1)
    features, labels, others = rng.normal(2, 3, (50, 6)), rng.integers(0, 4, 50), rng.normal(2, 3, (9, 6))
    project = np.random.default_rng(5).normal(size=(7, 30))

    def units(rows):
        scaled = (rows - features.mean(0)) / features.std(0)
        return 1 / (1 + np.exp(-np.column_stack([scaled, np.ones(len(rows))]) @ project))

    ridge = Ridge(alpha=0.01, fit_intercept=False, solver="svd").fit(units(features), np.eye(4)[labels])
    found = zhao2021.elm(features, labels, hidden=30, seed=5)(others)
    np.testing.assert_allclose(found, ridge.predict(units(others)), atol=1e-6)


def test_what_an_utterance_is_summed_up_by():
    """Else the machine would hear other statistics than the chapter says."""
    shares = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.3, 0.3, 0.3]])
    expected = [0.7, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1, 0.4, 0.2, 0.2, 0.2, 0.5, 0.5, 0.5, 0.5]
    np.testing.assert_allclose(zhao2021.summary_of(shares), expected)


@pytest.mark.parametrize("kind", ["DNN", "RNN"])
def test_frames_do_not_hear_the_padding(kind):
    """Else what is said of a frame would depend on who else is in the batch."""
    network, one, other = zhao2021.FrameNetwork(kind).eval(), torch.randn(20, 120), torch.randn(55, 120)
    with torch.no_grad():
        together, alone = network(pad([one, other])), network(pad([one]))
    assert together.shape == (2, 55, 4)
    torch.testing.assert_close(together[0, :20], alone[0], atol=1e-5, rtol=1e-4)


def test_every_rival_is_a_run(spoken):
    """Else a row of the table would end in an error after a night, or be tested on others."""
    rivals = [zhao2021.elm_run(spoken, kind, 2, folds=1) for kind in ("DNN", "RNN")]
    rivals.append(zhao2021.hmm_run(spoken, states=2, mixtures=1, folds=1))
    table = zhao2021.results_table(runs.run_all(rivals))
    assert [model for *_, model in table.index] == ["DNN+ELM", "RNN+ELM", "GMM+HMM"]
    assert set(table["tested"]) == {len(spoken.folds[0].test)} and set(table["dev. UAR"]) == {"not chosen on"}


# Results


def test_the_schedule_of_the_paper():
    """Else the full run would not be the paper's."""
    assert dataclasses.astuple(Schedule()) == (100, 32, 1e-4, None, None, None, None, None, None)


def test_recompute(spoken, tmp_path, monkeypatch):
    """Else the command for those who have IEMOCAP would stop on its way, or leave a row out."""
    name, made_by = "eGeMAPS + linear SVM", "baselines.functionals_svm"
    svm = runs.Run(spoken, name, made_by, {}, lambda fold, _: {"predicted": 0 * fold.test}, folds=1)
    monkeypatch.setattr(zhao2021, "functionals_svm", lambda *rest: runs.run_all([svm])[0])
    schedule = Schedule(epochs=1, batch_size=16, most_updates=1, teacher_updates=1, only_attended=True)
    names = ("TCN+self-attention", "TCN+self-attention w/AT", "TCN+soft attention w/uniform maps")
    records = zhao2021.recompute(spoken.table, tmp_path, schedule, names, (0,), 1)
    found = [(record.model, record.settings.get("weight")) for record in records]
    assert found[:3] == [(names[0], None), (names[1], 1.0), (names[1], 1.0)]
    assert found[3:5] == [(names[2], 1.0), ("Attention+RNN", None)]
    assert [record.settings.get("only_attended") for record in records[:4]] == [None, True, None, None]
    assert [model for model, _ in found[5:]] == ["DNN+ELM", "RNN+ELM", "GMM+HMM", "eGeMAPS + linear SVM"]
    table = zhao2021.results_table(records)
    assert (table["tested"] == len(spoken.folds[0].test)).all()
    assert [model for *_, model in table.index][:4] == [names[0], names[1], f"{names[1]} (H + Z)", names[2]]


@pytest.mark.parametrize(
    ("corpus", "voice"), [("emodb", "de"), ("part of emodb", "de"), ("synthetic", "en-us"), ("part of x", "en-us")]
)
def test_a_part_of_a_german_corpus_is_german(corpus, voice):
    """Else profile quick, which takes a part, would teach and score German speech by English phones."""
    table = pd.DataFrame({"transcript": ["das"]})
    table.attrs["corpus"] = corpus
    assert zhao2021.voice_of(table) == voice
