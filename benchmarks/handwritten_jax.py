"""The dense rows as a person who knows JAX would write them: `vmap` over trials, `scan` over batches, `jit`.

It is what the fused engine is measured against, so nothing of ours is in it: no Keras, no report, no metric but loss
and accuracy.
"""

import statistics
import time
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.work import EPOCHS, Work

Params = list[tuple[Any, Any]]
BATCH = 32


def train(work: Work, trials: int, epochs: int = EPOCHS) -> float | None:
    """Seconds of an epoch of all trials with validation, the median of all but the first."""
    if work.hidden is None:
        return None
    arrays = work.arrays()
    x, y, xv, yv = map(jnp.asarray, (arrays.x, arrays.y, arrays.x_validation, arrays.y_validation))
    rates = jnp.asarray(np.geomspace(1e-4, 1e-2, trials), jnp.float32)
    sizes = [x.shape[1], *work.hidden, y.shape[1]]
    params = _initial(sizes, trials)
    moments = jax.tree.map(lambda p: (jnp.zeros_like(p), jnp.zeros_like(p)), params)
    state = (params, moments, jnp.zeros(trials))
    epoch = jax.jit(lambda s, order: _epoch(s, rates, x[order], y[order], xv, yv, work.optimizer), donate_argnums=0)
    times = []
    for number in range(epochs):
        order = jnp.asarray(np.random.default_rng((0, number)).permutation(len(arrays.x)))
        state, metrics = epoch(state, order)
        np.asarray(metrics[0])
        times.append(time.perf_counter())
    return statistics.median(np.diff(times))


def _initial(sizes: list[int], trials: int) -> Params:
    drawn = np.random.default_rng(0)
    params = []
    for fan_in, fan_out in pairwise(sizes):
        limit = np.sqrt(6 / (fan_in + fan_out))
        kernel = drawn.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)
        params.append((jnp.asarray(np.stack([kernel] * trials)), jnp.zeros((trials, fan_out))))
    return params


def _loss(params: Params, x: Any, y: Any) -> tuple[Any, Any]:
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    logits = x @ params[-1][0] + params[-1][1]
    hits = (logits.argmax(-1) == y.argmax(-1)).mean()
    return -(y * jax.nn.log_softmax(logits)).sum(-1).mean(), hits


def _step(state: Any, rate: Any, x: Any, y: Any, optimizer: str) -> tuple[Any, Any]:
    params, moments, count = state
    (loss, hits), gradient = jax.value_and_grad(_loss, has_aux=True)(params, x, y)
    if optimizer == "sgd":
        return (jax.tree.map(lambda p, g: p - rate * g, params, gradient), moments, count), (loss, hits)
    count = count + 1
    scale = rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    flat_p, tree = jax.tree.flatten(params)
    flat_g = jax.tree.leaves(gradient)
    flat_m = [m for layer in moments for m in layer]
    new_m = [(m + (g - m) * 0.1, v + (g * g - v) * 0.001) for (m, v), g in zip(flat_m, flat_g, strict=True)]
    new_p = [p - m * scale / (jnp.sqrt(v) + 1e-7) for p, (m, v) in zip(flat_p, new_m, strict=True)]
    pairs = [(new_m[i], new_m[i + 1]) for i in range(0, len(new_m), 2)]
    return (jax.tree.unflatten(tree, new_p), pairs, count), (loss, hits)


def _epoch(state: Any, rates: Any, x: Any, y: Any, xv: Any, yv: Any, optimizer: str) -> tuple[Any, Any]:  # noqa: PLR0913, PLR0917
    rows = x.shape[0] // BATCH * BATCH
    step = jax.vmap(lambda s, rate, x, y: _step(s, rate, x, y, optimizer), (0, 0, None, None))
    batches = x[:rows].reshape(-1, BATCH, x.shape[1]), y[:rows].reshape(-1, BATCH, y.shape[1])
    state, (losses, hits) = jax.lax.scan(lambda s, batch: step(s, rates, *batch), state, batches)
    if rows < x.shape[0]:  # the last, smaller batch
        state, _ = step(state, rates, x[rows:], y[rows:])
    validated = jax.vmap(_loss, (0, None, None))(state[0], xv, yv)
    return state, (losses.mean(0), hits.mean(0), *validated)
