"""Where the arithmetic runs: device, number format, memory allocator, seeds."""

import contextlib
import ctypes
import os
import platform
import random
import sys
import warnings
from typing import Any

import numpy as np
import torch

from serlib.errors import InputError


def choose_device() -> torch.device:
    """The fastest device at hand: CUDA, else Apple's MPS, else the CPU; `SERLIB_DEVICE` overrides it.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    if wanted := os.environ.get("SERLIB_DEVICE"):
        try:
            return torch.device(wanted)
        except RuntimeError as error:
            raise InputError(f"SERLIB_DEVICE={wanted}: set it to cpu, cuda or mps.") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(device: torch.device) -> torch.dtype:
    """The number format for convolutions and products: half of 32 bits only where the chip computes in it.

    bfloat16 on CUDA from Ampere on and on CPUs with AVX512-BF16 or AMX; float16 (with loss scaling) on older CUDA
    such as Colab's T4; float32 everywhere else. `SERLIB_PRECISION` (float32, bfloat16, float16) overrides it.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    if wanted := os.environ.get("SERLIB_PRECISION"):
        if wanted not in ("float32", "bfloat16", "float16"):
            raise InputError(f"SERLIB_PRECISION={wanted}: set it to float32, bfloat16 or float16.")
        return getattr(torch, wanted)
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu":
        chip = torch.cpu.get_capabilities()
        return torch.bfloat16 if chip.get("avx512_bf16") or chip.get("amx_bf16") else torch.float32
    return torch.float32


def autocast(device: torch.device, precision: torch.dtype) -> contextlib.AbstractContextManager:
    """The context in which a forward pass runs in `precision`; in float32 it does nothing.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    if precision == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, precision)


def keep_pages() -> bool:
    """Ask glibc to keep large blocks of memory instead of handing them back; True where that is possible.

    Without it every large activation is mapped, zeroed and unmapped in every step, which takes more time than the
    arithmetic on a CPU. Call it before the first tensor. Other C libraries need nothing and get nothing.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return False
    m_trim_threshold, m_mmap_max = -1, -4
    libc = ctypes.CDLL("libc.so.6")
    return bool(libc.mallopt(m_mmap_max, 0) and libc.mallopt(m_trim_threshold, 2**31 - 1))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on every device.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def profile(quick: Any, paper: Any) -> Any:
    """One of two values: by `SERLIB_PROFILE`, `quick` (the default: minutes on any machine) or `paper` (the full run).

    Raises InputError for any other name of a profile.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    choices = {"quick": quick, "paper": paper}
    wanted = os.environ.get("SERLIB_PROFILE") or "quick"
    if wanted not in choices:
        raise InputError(f"SERLIB_PROFILE={wanted}: set it to quick or paper.")
    return choices[wanted]


def setup(seed: int = 0) -> str:
    """Prepare a notebook: keep memory pages, seed everything; returns one line that says what runs on what.
    Page: notebooks/01_attention_pooling_2018.ipynb
    """
    from serlib import __version__

    keep_pages()
    seed_everything(seed)
    warnings.filterwarnings("ignore", message=".*IProgress not found.*")
    device = choose_device()
    precision = str(choose_precision(device)).removeprefix("torch.")
    return f"serlib {__version__} · torch {torch.__version__} · {device.type}, {precision}"
