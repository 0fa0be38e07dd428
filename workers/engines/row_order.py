"""The order of rows in an epoch. It belongs to no engine, so that all of them see the same batches."""

import numpy as np
from numpy.typing import NDArray


def permutation(seed: int, epoch: int, rows: int) -> NDArray[np.int64]:
    """Return the order in which an epoch passes its rows.

    Counter-based (Philox, Salmon et al. 2011): it depends on the arguments alone and not on what was drawn before, so
    a trial that is resumed at any epoch sees the batches that an undisturbed one would have seen.

    Args:
        seed: of the trial, from 0.
        epoch: from 1.
        rows: how many.

    Returns:
        The numbers 0 to rows - 1, each once.
    """
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(rows)
