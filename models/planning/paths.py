"""Places in the document of a trial, and the names of the hyperparameters that stand there."""

from collections.abc import Mapping

Path = tuple[str | int, ...]
Value = float | int | str | bool
Values = Mapping[Path, Value]
"""A combination: the value in the place of each search space that counts for it."""
Key = tuple[Value | None, ...]
"""A combination: its values in the order of the search spaces; None in the place of one that does not count."""


def dotted(path: Path) -> str:
    """Return a path as the name of a hyperparameter, such as `optimizer.learning_rate`.

    The options of a choice have no part in it: the learning rate of either optimizer has this name.
    """
    parts: list[str | int] = []
    for part in path:
        if isinstance(part, int) and parts[-1:] == ["choice"]:
            parts.pop()
        else:
            parts.append(part)
    return ".".join(map(str, parts))


def last_word(name: str) -> str:
    """Return the last word of a hyperparameter's name; the last two of a layer's number, such as `layers.1`."""
    words = name.split(".")
    return ".".join(words[-2:]) if words[-1].isdecimal() else words[-1]
