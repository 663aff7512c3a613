"""The fourth room: one training loop for every chapter."""

import copy
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from tqdm.auto import tqdm

from serlib.cache import digest, read_sealed, write_sealed
from serlib.device import autocast, choose_device, choose_precision, seed_everything
from serlib.errors import InputError
from serlib.sequences import buckets, pad

Pair = tuple[Tensor, Tensor]
# From (model, batch, scale) to the loss: leaves the gradients of scale(loss) in the model's parameters.
Backward = Callable[[nn.Module, object, Callable[[Tensor], Tensor]], Tensor]


def batches(inputs: Tensor, targets: Tensor, size: int, generator: torch.Generator | None = None) -> Iterator[Pair]:
    """Every example once, `size` at a time: in random order with a generator, else in their own order.

    The tensors may lie on any device; the order is drawn on the CPU, so the same on all of them. Page: notebooks/01.
    """
    order = torch.arange(len(inputs)) if generator is None else torch.randperm(len(inputs), generator=generator)
    for chosen in order.to(inputs.device).split(size):
        yield inputs[chosen], targets[chosen]


def supervised(loss: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy) -> Backward:
    """What `fit` does with a batch (inputs, targets): `loss(model(inputs), targets)`, and its gradients.

    Page: notebooks/01.
    """

    def backward(model: nn.Module, batch: tuple[object, Tensor], scale: Callable[[Tensor], Tensor]) -> Tensor:
        inputs, targets = batch
        with autocast():
            value = loss(model(inputs), targets)
        scale(value).backward()
        return value

    return backward


def fit(
    model: nn.Module,
    epoch_of: Callable[[torch.Generator], Iterable[object]],
    make_optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
    *,
    epochs: int,
    backward: Backward | None = None,
    make_schedule: Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
    most_updates: int | None = None,
    minutes: float | None = None,
    clip: float | None = None,
    score: Callable[[nn.Module], float] | None = None,
    minimise: bool = False,
    patience: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    watch: Callable[[list[dict]], None] | None = None,
) -> tuple[nn.Module, list[dict]]:
    """Train `model` on the chosen device and leave it there. Returns the model and its history.

    `epoch_of(generator)` gives the batches of one epoch. `backward(model, batch, scale)` leaves the gradients of
    `scale(loss)` behind and returns the loss; `scale` changes nothing but in float16. By default a batch is a pair
    (inputs, targets) and the loss is the cross-entropy. `most_updates` ends training early; `clip` is the largest norm
    of a gradient. With `score`, of which higher is better (lower, with `minimise`), the model is scored after every
    epoch, in eval mode, and that of the (first) best epoch is returned; `patience` ends training after so many epochs
    in a row without a better one. The schedule is any of torch, asked once an epoch; one that waits for a plateau waits
    for one of the score (its `mode` is "max", or "min" with `minimise`). With `minutes`, the time of the first epoch
    (cut where it takes longer) says how many fit, and a line says it; the schedule then takes larger steps, to its end.
    The history has for each epoch the losses of its updates, the learning rate, the updates so far, the seconds, and
    the score with whether it is the best so far; `watch(history)` is called after each. With a `checkpoint` path the
    state is written there after every epoch: a run that was killed goes on, and ends in the same model as one that was
    not (on a CPU, to the last bit). Where a folder lies beside it whose name ends in `.trail`, each epoch is left there
    too, and an epoch that lies there is not computed again: a run on the same batches, with another score, has left it.
    Raises InputError when the checkpoint is torn, of another model, schedule, seed or
    device, or began with another loss, and FloatingPointError when training diverges; the checkpoint of the last good
    epoch is kept. Page: notebooks/01.
    """
    if patience is not None and (score is None or patience < 1):
        raise InputError("patience counts epochs, from 1, without a better score: it needs `score`.")

    # Where and how to compute.
    device = choose_device()
    precision = choose_precision(device)
    seed_everything(seed)
    generator = torch.Generator().manual_seed(seed)  # draws the order of the examples, on every device the same
    layout = torch.preserve_format if device.type == "mps" else torch.channels_last
    model.to(device, memory_format=layout).train()
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)

    # What changes the weights, and how fast.
    optimiser = make_optimiser(model.parameters())
    schedule, backward = make_schedule(optimiser) if make_schedule else None, backward or supervised()
    waits, mode = isinstance(schedule, ReduceLROnPlateau), "min" if minimise else "max"
    if waits and (score is None or schedule.mode != mode):
        raise InputError(f"A schedule that waits for a plateau waits for one of `score`: give it, and mode={mode!r}.")

    # Go on where an earlier call was stopped, if the first update is still what it was.
    best = copy.deepcopy(model) if score else None
    trained = {"model": model, "optimiser": optimiser, "scaler": scaler, "schedule": schedule}
    trained = {name: part for name, part in trained.items() if part is not None}
    parts = trained | ({"best": best} if score else {})
    steps = schedule and (type(schedule).__name__, schedule.state_dict())
    plan = (epochs, most_updates, clip, bool(score), minimise, patience, *([minutes] if minutes else []))
    run, history, first = digest(str(model), str(optimiser), steps, *plan, seed, precision, device.type), [], None
    trail = checkpoint and checkpoint.with_suffix(".trail")
    trail = trail if trail and trail.is_dir() and not waits and not minutes else None
    if checkpoint and (checkpoint.exists() or (trail and (trail / "1").exists())):
        first = float(backward(model, next(iter(epoch_of(generator))), scaler.scale).detach())
    if checkpoint and checkpoint.exists():
        history = _resume(checkpoint, parts, run, generator, first)

    updates, fitting = history[-1]["updates"] if history else 0, _fitting(epochs, minutes, history)
    for _ in tqdm(range(len(history), epochs), desc="epochs", leave=False, delay=2):
        if updates == most_updates or len(history) == fitting or (patience and _without_better(history) == patience):
            break

        # One epoch: a step for every batch. Or nothing to do, where it lies on the trail.
        start, losses, page = time.perf_counter(), [], trail and trail / str(len(history) + 1)
        known = page and first is not None and page.exists() and _resume(page, trained, run, generator, first)[-1]
        for batch in [] if known else epoch_of(generator):
            optimiser.zero_grad()
            losses.append(backward(model, batch, scaler.scale).detach().float())
            if clip is not None:
                scaler.unscale_(optimiser)
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            scaler.step(optimiser)
            scaler.update()
            over = minutes and not history and time.perf_counter() - start > 60 * minutes
            if over or updates + len(losses) == most_updates:
                break
        losses = known["losses"] if known else torch.stack(losses).tolist()  # the one wait for a GPU in an epoch
        updates += len(losses)
        if not all(map(math.isfinite, losses)):
            raise FloatingPointError("The loss is no longer a finite number. Lower the learning rate.")

        # Note how it went, and keep the best model.
        rate = known["learning_rate"] if known else optimiser.param_groups[0]["lr"]
        entry = {"losses": losses, "learning_rate": rate, "updates": updates}
        if score:
            entry["score"] = _score(score, model)
            so_far = [epoch["score"] for epoch in history]
            entry["is_best"] = not so_far or (
                entry["score"] < min(so_far) if minimise else entry["score"] > max(so_far)
            )
        history.append(entry | {"seconds": time.perf_counter() - start})
        if score and entry["is_best"]:
            best.load_state_dict(model.state_dict())
        if minutes and len(history) == 1 < epochs:
            fitting = _fitting(epochs, minutes, history)
            print(f"{history[0]['seconds']:.1f} s an epoch: {fitting} of {epochs} epochs in {minutes:g} minutes")
        if waits:
            schedule.step(entry["score"])
        elif schedule and not known:
            for _ in range(len(history) * epochs // fitting - (len(history) - 1) * epochs // fitting):
                schedule.step()

        # Make it safe, and show it.
        if checkpoint:
            _save(checkpoint, parts, run, generator, history)
        if trail and not known:
            _save(page, trained, run, generator, history)
        if watch:
            watch(history)
    if score:
        model.load_state_dict(best.state_dict())
    return model.eval(), history


def best_epoch(history: list[dict]) -> int:
    """The first epoch with the best score, counted from 1. Page: notebooks/02."""
    return max(number for number, epoch in enumerate(history, 1) if epoch["is_best"])


def same_loss(before: float, now: float) -> bool:
    """Whether two first losses are one, computed on two machines: half precision rounds to three digits.

    Page: book/how_it_is_built.
    """
    exact = choose_precision(choose_device()) == torch.float32
    return math.isclose(before, now, rel_tol=1e-3 if exact else 1e-2)


def _fitting(epochs: int, minutes: float | None, history: list[dict]) -> int:
    """How many of the epochs fit into the minutes, by the time of the first; all, where that is not known."""
    return max(1, min(epochs, int(60 * minutes / history[0]["seconds"]))) if minutes and history else epochs


def _without_better(history: list[dict]) -> int:
    """How many epochs in a row, up to now, brought no better score."""
    return len(history) - best_epoch(history) if history else 0


def _score(score: Callable[[nn.Module], float], model: nn.Module) -> float:
    """Score the model in eval mode and train on."""
    value = float(score(model.eval()))
    model.train()
    if math.isnan(value):
        raise InputError("The score is not a number. Is there anything to score on?")
    return value


def _save(path: Path, parts: dict, run: str, generator: torch.Generator, history: list[dict]) -> None:
    """Write all that the rest of the training depends on."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"run": run, "history": history, "random": torch.get_rng_state(), "order": generator.get_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    torch.save(state, whole := io.BytesIO())  # straight into a file, torch would hide why the disk refuses
    write_sealed(path, whole.getvalue())


def _resume(path: Path, parts: dict, run: str, generator: torch.Generator, first: float) -> list[dict]:
    """Load what `_save` wrote, if it began with the loss `first`; returns the history so far."""
    try:
        state = torch.load(io.BytesIO(read_sealed(path)), map_location="cpu", weights_only=True)
        same = state["run"] == run
        before = state["history"][0]["losses"][0]
        if same and same_loss(before, first):
            for name, part in parts.items():
                part.load_state_dict(state[name])
            torch.set_rng_state(state["random"])
            generator.set_state(state["order"])
            if "cuda" in state:
                torch.cuda.set_rng_state(state["cuda"])
            return state["history"]
    except Exception as error:  # torch raises eight kinds, by where the file was cut
        raise InputError(f"{path}: this checkpoint is torn. Delete it to train from the start.") from error
    if same:
        changed = f"the first update lost {before:.6g} and loses {first:.6g} now: code or data have changed"
        raise InputError(f"{path}: {changed}. Undo the change, or delete it to train from the start.")
    raise InputError(f"{path}: this checkpoint is of another model, schedule, seed or device. Delete it.")


@torch.no_grad()
def predict(
    model: nn.Module, inputs: Tensor | list[Tensor], batch_size: int = 16, precision: torch.dtype | None = None
) -> Tensor:
    """The model's outputs in float32 on the CPU, `(examples, ...)`, in the inputs' order.

    From a list of tensors of unequal length, `(length, ...)`, the model gets padded batches of similar length and the
    lengths, as a pair. Larger batches take more memory and, on a CPU, as long: 64 of chapter 1's segments 3 GB, 16 one.
    Page: notebooks/01.
    """
    device = next(model.parameters()).device
    precision = precision or choose_precision(device)
    model.eval()
    with autocast(device, precision):
        if isinstance(inputs, Tensor):
            return torch.cat([model(part.to(device)).float().cpu() for part in inputs.split(batch_size)])
        rows, outputs = buckets([len(sequence) for sequence in inputs], batch_size), []
        for part in rows:
            padded, lengths = pad([inputs[row] for row in part])
            outputs.append(model((padded.to(device), lengths.to(device))).float().cpu())
    order = torch.tensor([row for part in rows for row in part]).argsort()
    return torch.cat(outputs)[order]
