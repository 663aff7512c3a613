"""Which device, which number format, which profile."""

import os
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import serlib
from serlib.device import autocast, choose_device, choose_precision, keep_pages, seed_everything, setup
from serlib.errors import InputError


@pytest.mark.parametrize(("cuda", "mps", "kind"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_fastest_device_is_taken(monkeypatch, cuda, mps, kind):
    """Else a machine with a GPU would train on its processor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device().type == kind
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")


@pytest.mark.parametrize(("capability", "precision"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_precision_on_cuda(monkeypatch, capability, precision):
    """Else Colab's T4, which has no bfloat16, would emulate it, or an A100 lose range to float16."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision(torch.device("cuda")) == precision


@pytest.mark.parametrize(
    ("chip", "precision"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_precision_on_a_processor(monkeypatch, chip, precision):
    """Else an older processor would emulate bfloat16, many times slower than float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: chip)
    assert choose_precision(torch.device("cpu")) == precision


def test_precision_elsewhere():
    """Else Apple's GPU would compute in a format that it has not been tried in."""
    assert choose_precision(torch.device("mps")) == torch.float32


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_precision_is_a_setting(monkeypatch, name):
    """Else nobody could check what half precision changes."""
    monkeypatch.setenv("SERLIB_PRECISION", name)
    for kind in ("cuda", "mps", *(["cpu"] if name != "float16" else [])):
        assert choose_precision(torch.device(kind)) == getattr(torch, name)


@pytest.mark.parametrize(
    ("variable", "choose"), [("SERLIB_DEVICE", choose_device), ("SERLIB_PRECISION", choose_precision)]
)
def test_a_setting_that_is_none(monkeypatch, variable, choose):
    """Else a typing error in a setting would end in an error that does not name the setting."""
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(InputError, match=f"{variable}=fast"):
        choose(*([torch.device("cpu")] if choose is choose_precision else []))


@pytest.mark.parametrize("setting", ["SERLIB_DEVICE=cuda", "SERLIB_DEVICE=mps", "SERLIB_PRECISION=float16"])
def test_a_setting_that_this_machine_does_not_have(monkeypatch, setting):
    """Else training would begin, and end in a traceback from within torch."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv(*setting.split("="))
    with pytest.raises(InputError, match=f"^{setting}: .*[Ss]et it to"):
        setup()


def test_autocast_computes_in_the_format():
    """Else "bfloat16" would be written into records of float32."""
    layer, inputs = torch.nn.Linear(3, 3), torch.ones(2, 3)
    for precision in (torch.float32, torch.bfloat16, torch.float16):
        with autocast(torch.device("cpu"), precision):
            assert layer(inputs).dtype == precision


def test_keep_pages_says_whether_it_could():
    """Else a Mac or a musl Linux would stop at the first cell; run elsewhere, for it changes the whole process."""
    script = (
        "from serlib.device import keep_pages; import sys; found = keep_pages(); sys.exit(found not in (True, False))"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    assert subprocess.run([sys.executable, "-c", script], env=environment).returncode == 0


def test_few_shapes_are_remembered():
    """Else each length of a batch would leave its kernels in memory: chapter 5 in `lesson` took 3.1 GB."""
    script = """
from serlib.device import keep_pages
keep_pages()
import torch
for frames in [*range(300, 600), 300]:
    print("frames", frames, flush=True)
    torch.nn.functional.conv1d(torch.zeros(4, 64, frames), torch.zeros(64, 64, 3))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "ONEDNN_VERBOSE": "2"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True).stdout
    if "convolution" not in said:
        pytest.skip("this torch computes convolutions without oneDNN")
    assert "create:cache_miss" in said.rpartition("frames 300")[2], "the first of 300 lengths is still remembered"


def test_keep_pages_does_nothing_without_glibc(monkeypatch):
    """Else ctypes would fail to find a library that is not there."""
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert keep_pages() is False
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_pages() is False


def test_seeds():
    """Else two runs with one seed would differ."""

    def draw():
        return random.random(), np.random.random(), torch.rand(1).item()

    seed_everything(3)
    first = draw()
    assert draw() != first
    seed_everything(3)
    assert draw() == first


def test_a_lesson_is_as_long_as_the_device_allows(monkeypatch):
    """Else a lesson on Colab's GPU would take as long as on a laptop's two cores."""
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    assert serlib.minutes(0.5) == 5
    monkeypatch.setattr("serlib.device.choose_device", lambda: torch.device("cuda"))
    assert serlib.minutes(0.5) == 1


def test_setup_says_what_runs_on_what(monkeypatch):
    """Else a notebook would not show on which device and in which format its numbers were made."""
    monkeypatch.setattr("serlib.device.keep_pages", lambda: True)
    monkeypatch.setenv("SERLIB_DEVICE", "cpu")
    monkeypatch.setenv("SERLIB_PRECISION", "bfloat16")
    line = setup(5)
    after = torch.rand(1)
    assert line == f"serlib {serlib.__version__} · torch {torch.__version__} · quick, cpu, bfloat16"
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))


def test_what_is_chosen_in_the_form_is_what_runs(monkeypatch):
    """Else a reader would choose EmoDB in the form, and read numbers of the synthetic corpus."""
    for name in ("CORPUS", "PROFILE", "DEVICE", "PRECISION"):
        monkeypatch.setenv(f"SERLIB_{name}", "")  # so that what is set here ends with the test
    line = setup(corpus=" emodb ", profile="lesson", device="cpu", precision="float32")
    assert line.endswith("lesson, cpu, float32") and os.environ["SERLIB_CORPUS"] == "emodb"
    assert setup(corpus="", profile="", device="", precision="") == line, "an empty field changes nothing"
    with pytest.raises(InputError, match="SERLIB_DEVICE=gpu: set it to cpu, cuda or mps"):
        setup(device="gpu")


def test_an_older_torch_computes_in_32_bits(monkeypatch):
    """Else a notebook would stop at its first cell under a torch that the lower bound allows."""
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert choose_precision(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("colab", "device", "chosen", "profile"),
    [
        (True, "cuda", "", "lesson"),
        (True, "cpu", "", "quick"),
        (False, "cuda", "", "quick"),
        (True, "cuda", "quick", "quick"),
    ],
)
def test_colab_with_a_gpu_takes_the_lesson(monkeypatch, colab, device, chosen, profile):
    """Else whoever presses Run all there would see networks that have learnt nothing, or would be overruled."""
    monkeypatch.setenv("SERLIB_PROFILE", chosen)
    monkeypatch.setattr("serlib.device.choose_device", lambda: torch.device(device))
    monkeypatch.setattr("serlib.device.choose_precision", lambda device: torch.float32)
    if colab:
        monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert setup().endswith(f"{profile}, {device}, float32")
