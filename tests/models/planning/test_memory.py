"""Networks that cannot fit into a worker's memory are refused at submit, with the estimate."""

import pytest

from fittingroom.specs.faults import InvalidSpec
from models.planning.plan import plan_experiment
from tests.factories import DENSE_10, digits, document, spec

MB = 1024**2
WIDE = {"type": "dense", "units": 4_096, "activation": "relu"}


def test_activations_of_a_large_batch_count() -> None:
    small, large = (
        plan_experiment(spec(fit={"epochs": 1, "batch_size": size, "validation_split": 0.3})).memory_bytes[1]
        for size in (16, 512)
    )
    assert large > 10 * small


def test_optimizer_state_counts() -> None:
    sgd, momentum, adam = (
        plan_experiment(spec(optimizer=optimizer)).memory_bytes[1]
        for optimizer in ({"name": "sgd"}, {"name": "sgd", "momentum": 0.9}, {"name": "adam"})
    )
    assert sgd < momentum < adam


def test_network_measured_at_three_gigabytes_is_refused_at_512_mb() -> None:
    """200 MB of weights: with the gradient and a batch they stay below the limit, with Adam's moments they do not."""
    large = digits(WIDE, WIDE, WIDE, optimizer={"name": "adam"})
    assert large["model"]["layers"][-1] == DENSE_10
    with pytest.raises(
        InvalidSpec, match=r"training takes about 2\.\d GB .* optimizer state .* a worker may use 0\.5 GB"
    ):
        plan_experiment(spec(**large), memory_bytes=512 * MB)
    plan_experiment(spec(**large), memory_bytes=4_096 * MB)
    plan_experiment(spec(**document()), memory_bytes=64 * MB)
