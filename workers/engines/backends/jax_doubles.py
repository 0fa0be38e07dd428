"""Double precision out of two float32: for the few numbers that Keras computes with before they meet a tensor.

Sums and products are those of Dekker, "A floating-point technique for extending the available precision", Numerische
Mathematik 18 (1971); the error of a sum is Knuth's. 48 bits of a double's 53 are left, so what is rounded to float32
in the end is the double rounded, but for one case in some millions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_SPLIT = np.float32(4097)
"""2¹² + 1: a product with it parts the 24 bits of a float32 in two halves."""


@jax.tree_util.register_pytree_node_class
class Double:
    """A number, or an array of them: what `high` leaves of it is `low`. Operands are such numbers, or Python floats."""

    def __init__(self, high: Any, low: Any) -> None:  # noqa: ANN401 - float32 arrays of JAX, any shape
        """Args: the number rounded, and the rest."""
        self._high, self._low = high, low

    def tree_flatten(self) -> tuple[tuple[Any, Any], None]:
        """Into what JAX maps over."""
        return (self._high, self._low), None

    @classmethod
    def tree_unflatten(cls, _: None, parts: tuple[Any, Any]) -> "Double":
        """Out of it."""
        return cls(*parts)

    def rounded(self) -> Any:  # noqa: ANN401
        """Round to float32."""
        return self._high + self._low

    def __add__(self, other: "Double | float") -> "Double":
        other = _double(other)
        total, error = _sum(self._high, other._high)
        return Double(*_sum(total, error + self._low + other._low))

    def __sub__(self, other: "Double | float") -> "Double":
        return self + -_double(other)

    def __rsub__(self, other: float) -> "Double":
        return _double(other) - self

    def __mul__(self, other: "Double | float") -> "Double":
        other = _double(other)
        product, error = _product(self._high, other._high)
        return Double(*_sum(product, error + self._high * other._low + self._low * other._high))

    def __rtruediv__(self, other: float) -> "Double":
        dividend = _double(other)
        first = Double(dividend._high / self._high, jnp.float32(0))
        rest = dividend - self * first
        return first + Double(rest.rounded() / self._high, jnp.float32(0))

    def __neg__(self) -> "Double":
        return Double(-self._high, -self._low)


def _double(number: Double | float) -> Double:
    if isinstance(number, Double):
        return number
    high = np.float32(number)
    return Double(jnp.float32(high), jnp.float32(number - float(high)))


def _sum(a: Any, b: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return a sum and its rounding error."""
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def _product(a: Any, b: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return a product and its rounding error."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)


def _halves(a: Any) -> tuple[Any, Any]:  # noqa: ANN401
    scaled = _SPLIT * a
    high = scaled - (scaled - a)
    return high, a - high
