"""Estimate of the memory that training takes, so that what cannot fit is refused before it is queued.

The factors were fitted to measured peaks; `tests/workers/test_memory_estimate.py` measures them anew.
"""

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.optimizers import Optimizer
from fittingroom.specs.search.search_space import sampled_value
from fittingroom.specs.validation.dataset_checks import fitting_rows, training_rows
from fittingroom.specs.validation.shapes import Network

_FLOAT_BYTES = 4
_SLOTS = {
    "sgd": 0, "lion": 1, "adagrad": 1, "rmsprop": 1, "adafactor": 1, "adam": 2, "adamw": 2, "nadam": 2, "adadelta": 2,
    "adamax": 2, "ftrl": 2, "lamb": 2, "muon": 1, "schedule_free_adamw": 2,
}  # fmt: skip


COPIES_OF_WEIGHTS = 4.3
"""Copies of the weights at the memory peak, on device and host, among them gradient and best weights."""
COPIES_OF_SLOTS = 6.6
COPIES_OF_ACTIVATIONS = 1.6
"""Outputs of all layers for one batch, and the part of its gradient that is there at a time."""
PROGRAM_BYTES = 140_000_000
"""Memory that making any program takes, however small. It is the worker's own and not in an estimate."""


def estimated_bytes(trial: TrialSpec, network: Network, rows: int) -> int:
    """Estimate what training one trial takes beyond a worker that has trained something small.

    Args:
        trial: every value fixed.
        network: its network, measured.
        rows: of its dataset.
    """
    trained = training_rows(fitting_rows(trial.dataset.rows or rows, trial.fit), trial.fit)
    batch = min(sampled_value(trial.fit.batch_size), trained)
    of_weights = COPIES_OF_WEIGHTS + COPIES_OF_SLOTS * slots_per_weight(trial.optimizer)
    of_activations = COPIES_OF_ACTIVATIONS * batch * network.numbers_per_row
    return round(_FLOAT_BYTES * (of_weights * network.parameters + of_activations))


def slots_per_weight(optimizer: Optimizer) -> int:
    """Return how many numbers an optimizer keeps of each weight."""
    further = [
        getattr(optimizer, name, 0)
        for name in ("momentum", "amsgrad", "centered", "use_ema", "gradient_accumulation_steps")
    ]
    return _SLOTS[optimizer.name] + sum(1 for given in further if sampled_value(given))


def refuse_too_large(trial: TrialSpec, network: Network, needed_bytes: int, memory_bytes: int) -> None:
    """Refuse what cannot fit into a worker's memory.

    Raises:
        InvalidSpec: it cannot.
    """
    if needed_bytes > memory_bytes:
        detail = (
            f"training takes about {needed_bytes / 1e9:.1f} GB ({network.parameters:,} parameters with gradient, "
            f"optimizer state and best weights, and {network.numbers_per_row:,} numbers for each row of a batch); a "
            f"worker may use {memory_bytes / 1e9:.1f} GB (FITTINGROOM_MEMORY_BYTES). Take a smaller batch_size or "
            "fewer units"
        )
        raise InvalidSpec(
            [Fault(pointer="/fit/batch_size", detail=detail, found=str(sampled_value(trial.fit.batch_size)))]
        )
