"""How much memory a trial takes at the least: what is refused for it could never have trained.

What is counted is certain: weights, their gradient, and what the layers make of one batch. Optimizers, temporaries
and the dataset come on top, and other trials that train beside it.
"""

from fittingroom.specs.experiment import TrialSpec
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.search_space import fixed
from fittingroom.specs.validation.dataset_checks import training_rows
from fittingroom.specs.validation.shapes import Network

_FLOAT_BYTES = 4


def least_bytes(trial: TrialSpec, network: Network, rows: int) -> int:
    """The least that training takes.

    Args:
        trial: every value fixed.
        network: its network, measured.
        rows: of its dataset.
    """
    batch = min(fixed(trial.fit.batch_size), training_rows(trial.dataset.rows or rows, trial.fit.validation_split))
    return _FLOAT_BYTES * (2 * network.parameters + batch * network.numbers_per_row)


def refuse_too_large(trial: TrialSpec, network: Network, rows: int, memory_bytes: int) -> None:
    """Refuse what cannot fit into a worker's memory.

    Raises:
        InvalidSpec: it cannot.
    """
    needed = least_bytes(trial, network, rows)
    if needed > memory_bytes:
        detail = (
            f"training takes at least {needed / 1e9:.1f} GB ({network.parameters:,} parameters with their gradient, "
            f"and {network.numbers_per_row:,} numbers for each row of a batch); a worker may use "
            f"{memory_bytes / 1e9:.1f} GB (FITTINGROOM_MEMORY_BYTES). Take a smaller batch_size or fewer units"
        )
        raise InvalidSpec([Fault(pointer="/fit/batch_size", detail=detail, found=str(fixed(trial.fit.batch_size)))])
