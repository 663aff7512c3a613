"""Where the arithmetic runs: device, number format, memory allocator, seeds."""

import ctypes
import os
import platform
import random
import sys
from importlib import metadata

import numpy as np
import torch

from serlib.errors import InputError
from serlib.profiles import one_of, profile


def choose_device() -> torch.device:
    """The fastest device at hand, CUDA, Apple's MPS or the CPU; `SERLIB_DEVICE` overrides.

    Raises InputError where that names one which is not here. Page: notebooks/01.
    """
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = one_of("SERLIB_DEVICE", "cpu", "cuda", "mps")
    if wanted and not here[wanted]:
        there = " or ".join(name for name, present in here.items() if present)
        raise InputError(f"SERLIB_DEVICE={wanted}: torch finds no such device here. Set it to {there}, or unset it.")
    return torch.device(wanted or next(name for name, present in here.items() if present))


def choose_precision(device: torch.device) -> torch.dtype:
    """The number format for convolutions and products: half of 32 bits only where the chip computes in it.

    bfloat16 on CUDA from Ampere on and on CPUs with AVX512-BF16 or AMX; float16 (with loss scaling) on older CUDA such
    as Colab's T4; float32 everywhere else. `SERLIB_PRECISION` overrides it; InputError where that is float16 on a CPU.
    Page: notebooks/01.
    """
    if wanted := one_of("SERLIB_PRECISION", "float32", "bfloat16", "float16"):
        if wanted == "float16" and not _has_float16(device):
            raise InputError("SERLIB_PRECISION=float16: a CPU lacks it for many layers. Set it to bfloat16 or float32.")
        return getattr(torch, wanted)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu":
        chip = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch cannot say
        return torch.bfloat16 if chip.get("avx512_bf16") or chip.get("amx_bf16") else torch.float32
    return torch.float32


def _has_float16(device: torch.device) -> bool:
    """Whether all layers compute in it: torch has no recurrent ones on a CPU."""
    return device.type != "cpu"


def autocast(device: torch.device | None = None, precision: torch.dtype | None = None) -> torch.autocast:
    """The context in which a forward pass runs in `precision`, by default the chosen one; in float32 it does nothing.

    Page: notebooks/01.
    """
    device = device or choose_device()
    precision = precision or choose_precision(device)
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


def keep_pages() -> bool:
    """Ask glibc to keep large blocks of memory instead of handing them back; True where that is possible.

    Without it every large activation is mapped, zeroed and unmapped in every step, which takes a CPU longer than the
    arithmetic. And torch's oneDNN is asked to remember how to compute 256 shapes, not 1024: batches of many lengths
    would take half a gigabyte more. Call it before the first tensor. Other C libraries get nothing.
    Page: notebooks/01.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    if platform.libc_ver()[0] != "glibc":
        return False
    libc, m_trim_threshold, m_mmap_max = ctypes.CDLL("libc.so.6"), -1, -4
    return bool(libc.mallopt(m_mmap_max, 0) and libc.mallopt(m_trim_threshold, 2**31 - 1))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device. Page: notebooks/01."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def minutes(share: float) -> float:
    """A share of the time that a chapter trains in profile `lesson`: ten minutes on a CPU, two on a GPU.

    Page: notebooks/01.
    """
    return share * (10 if choose_device().type == "cpu" else 2)


def setup(seed: int = 0, **choices: str) -> str:
    """Prepare a notebook: keep memory pages, seed everything; one line says what runs on what.

    `corpus`, `profile`, `device` and `precision` set the variables `SERLIB_CORPUS` and so on, where they are not empty.
    In Colab with a GPU the profile is `lesson` where nobody has chosen one. Page: notebooks/01.
    """
    os.environ.update({f"SERLIB_{name.upper()}": value.strip() for name, value in choices.items() if value.strip()})
    keep_pages()
    seed_everything(seed)
    device = choose_device()
    if "google.colab" in sys.modules and device.type == "cuda":
        os.environ["SERLIB_PROFILE"] = os.environ.get("SERLIB_PROFILE") or "lesson"
    precision = str(choose_precision(device)).removeprefix("torch.")
    what = f"{profile('quick', 'lesson', 'paper')}, {device.type}, {precision}"
    return f"serlib {metadata.version('serlib')} · torch {torch.__version__} · {what}"
