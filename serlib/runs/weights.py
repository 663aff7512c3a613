"""The weights of a fold: kept beside its record, which knows what they hold, and put back into a network."""

from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from serlib.cache import contents, located, write_atomically
from serlib.errors import InputError
from serlib.runs.record import Record


class WeightsError(InputError):
    """The weights of one fold are lost or of another run: no reason to leave out the others. Page: book/threats."""


def keep(network: nn.Module, place: Path) -> dict[str, str]:
    """Write the weights beside a record at `place`; gives what the record shall say of them: file and digest.

    Raises InputError where they cannot be written. Page: book/how_it_is_built.
    """
    path = Path(f"{place}.safetensors")
    with write_atomically(path) as file:
        file.write(safetensors.torch.save({key: part.contiguous() for key, part in network.state_dict().items()}))
    return {"weights": f"{place.parent.name}/{path.name}", "weights_digest": contents([path])[path]}


def load(network: nn.Module, folder: str | Path, record: Record, fold: str) -> nn.Module:
    """A network with the weights that a run in `folder` ended with in a fold, in eval mode.

    Raises InputError when the run kept none, or when they are missing, torn, of another run, or of another network.
    Page: notebooks/01.
    """
    entry = next((entry for entry in record.folds if entry["name"] == fold), {})
    if "weights" not in entry:
        raise InputError(f"The run of {record.model} kept no weights of fold {fold!r}: give it a folder.")
    path = located(folder) / entry["weights"]
    remedy = f"Delete {path.stem}.json beside them to train the fold again."
    try:
        content = path.read_bytes()
        found = safetensors.torch.load(content)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: these weights are missing or torn. {remedy}") from error
    if entry.get("weights_digest", contents([path])[path]) != contents([path])[path]:  # older records know none
        what = "are not those that the run ended with: another file was copied here, or a byte has changed"
        raise WeightsError(f"{path}: these weights {what}. {remedy}")
    try:
        network.load_state_dict(found)
    except RuntimeError as error:
        raise WeightsError(f"{path}: these weights are of another network than {type(network).__name__}.") from error
    return network.eval()
