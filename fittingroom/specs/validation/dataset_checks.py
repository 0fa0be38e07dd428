"""Checks that a dataset has the rows, classes and validation data that an experiment needs."""

import math
from collections.abc import Iterator, Mapping, Sequence

from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.experiment import DatasetReference, ExperimentSpec
from fittingroom.specs.faults import Fault, pointer
from fittingroom.specs.fit import Fit
from fittingroom.specs.hints import nearest_hint

_VALIDATION = "/dataset/validation"


def fitting_rows(rows: int, fit: Fit) -> int:
    """Return the number of rows that are not set aside for the test."""
    return math.floor(rows * (1.0 - fit.test_split)) if fit.test_split else rows


def training_rows(rows: int, fit: Fit) -> int:
    """Return the number of training rows, by the arithmetic of `model.fit`; with folds, of the fold that has fewest.

    Args:
        rows: number of rows to fit. Where groups stay whole, the number that is returned is about right.
        fit: the split.
    """
    if fit.folds is not None:
        return rows - math.ceil(rows / fit.folds)
    return math.floor(rows * (1.0 - fit.validation_split)) if fit.validation_split else rows


def count_groups_to_fit(fit: Fit) -> int:
    """Return how many groups, at least, the rows to fit must have."""
    return fit.folds or (2 if fit.validation_split else 1)


def ends_of_folds(rows: int, folds: int) -> list[int]:
    """Return after how many rows each of consecutive folds ends; the first ones are longer by a row if need be."""
    return [fold * (rows // folds) + min(fold, rows % folds) for fold in range(1, folds + 1)]


def find_dataset(
    reference: DatasetReference, known: Mapping[str, DatasetSchema], place: str
) -> tuple[DatasetSchema | None, list[Fault]]:
    """Look a dataset up by what a spec says of it.

    Args:
        reference: what the spec says.
        known: the datasets there are, by name.
        place: pointer to where it says so.
    """
    schema = known.get(reference.name)
    if schema is None:
        shown = ", ".join(list(known)[:20])
        hint = nearest_hint(reference.name, known)
        detail = f"there is no such dataset; {hint}known datasets: {shown}{', …' if len(known) > 20 else ''}"
        return None, [Fault(pointer=f"{place}/name", detail=detail, found=repr(reference.name[:80]))]
    if reference.sha256 not in {None, schema.sha256}:
        has = f"its content is {schema.sha256}" if schema.sha256 else "it is built in, and never changes"
        detail = f"{schema.name} has not this content: {has}; give that, or leave sha256 out"
        return None, [Fault(pointer=f"{place}/sha256", detail=detail, found=reference.sha256)]
    return schema, []


def dataset_faults(spec: ExperimentSpec, schema: DatasetSchema, known: Mapping[str, DatasetSchema]) -> list[Fault]:
    """Return faults of a spec that asks for what its dataset lacks."""
    return [*_row_faults(spec, schema), *_validation_faults(spec, schema, known), *_class_weight_faults(spec, schema)]


def _row_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    rows = spec.dataset.rows or schema.rows
    if rows > schema.rows:
        yield Fault(
            pointer="/dataset/rows",
            detail=f"{schema.name} has {schema.rows:,} rows; ask for at most so many",
            found=str(rows),
        )
        return
    rows, given = fitting_rows(rows, spec.fit), rows
    if spec.fit.test_split and not 1 <= rows < given:
        detail = f"this leaves {rows} rows to fit and {given - rows} for the test; each needs at least 1"
        yield Fault(pointer="/fit/test_split", detail=detail, found=str(spec.fit.test_split))
        return
    if spec.fit.folds is not None:
        yield from _fold_faults(spec, schema, rows)
        return
    split = spec.fit.validation_split
    trained = training_rows(rows, spec.fit)
    if trained < 1 or (split and trained == rows):
        yield Fault(
            pointer="/fit/validation_split",
            detail=f"this leaves {trained} training and {rows - trained} validation rows; each needs at least 1",
            found=str(split),
        )
    yield from _split_faults(spec, schema)


def _fold_faults(spec: ExperimentSpec, schema: DatasetSchema, rows: int) -> Iterator[Fault]:
    folds = spec.fit.folds or 1
    if spec.fit.validation_split:
        detail = "rows for validation come from the folds or from validation_split; leave one of them out"
        yield Fault(pointer="/fit/folds", detail=detail, found=str(folds))
    if folds > rows:
        yield Fault(pointer="/fit/folds", detail=f"expected at most {rows}, one for each row", found=str(folds))
    if spec.pruner is not None:
        detail = "a pruner compares trials that train side by side, and folds train apart; leave one of them out"
        yield Fault(pointer="/pruner", detail=detail)
    yield from _split_faults(spec, schema)


def _split_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    if spec.fit.split == "last":
        return
    if not spec.fit.validation_split and not spec.fit.test_split and spec.fit.folds is None:
        detail = "no rows are split off for validation or test; set validation_split above 0, or leave this out"
        yield Fault(pointer="/fit/split", detail=detail, found=spec.fit.split)
    elif spec.fit.split == "stratified" and schema.classes is None:
        detail = f"the target of {schema.name} has no classes; use shuffled"
        yield Fault(pointer="/fit/split", detail=detail, found=spec.fit.split)
    elif spec.fit.split == "group":
        yield from _group_faults(spec, schema)


def _group_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    if schema.groups is None:
        detail = f"{schema.name} has no groups; upload it with group=…, the column that says which rows belong together"
        yield Fault(pointer="/fit/split", detail=detail, found=spec.fit.split)
        return
    wanted = count_groups_to_fit(spec.fit) + (spec.fit.test_split > 0)
    if schema.groups < wanted:
        detail = f"{schema.name} has {schema.groups} groups in {schema.group!r}; this needs at least {wanted}"
        yield Fault(pointer="/fit/split", detail=detail, found=spec.fit.split)
    if spec.dataset.rows is not None:
        detail = "rows are drawn one by one, and groups stay whole; leave rows or the split by group out"
        yield Fault(pointer="/dataset/rows", detail=detail, found=str(spec.dataset.rows))


def _validation_faults(
    spec: ExperimentSpec, schema: DatasetSchema, known: Mapping[str, DatasetSchema]
) -> Iterator[Fault]:
    if spec.dataset.validation is None:
        return
    if spec.fit.validation_split > 0:
        detail = "rows for validation come from dataset.validation or from fit.validation_split; leave one of them out"
        yield Fault(pointer=_VALIDATION, detail=detail)
    if spec.fit.folds is not None:
        detail = "rows for validation come from dataset.validation or from fit.folds; leave one of them out"
        yield Fault(pointer=_VALIDATION, detail=detail)
    other, faults = find_dataset(spec.dataset.validation, known, _VALIDATION)
    yield from faults
    if other is not None and (misfit := difference(schema, other)) is not None:
        yield Fault(pointer=_VALIDATION, detail=misfit, found=repr(other.name))


def difference(schema: DatasetSchema, other: DatasetSchema) -> str | None:
    """Return the reason why a network for one dataset cannot be measured on the rows of another, or None."""
    if (other.task, other.targets) != (schema.task, schema.targets):
        kinds = [f"{one.task}" + (f" of {one.targets} numbers" if one.targets > 1 else "") for one in (schema, other)]
        return f"{schema.name} is for {kinds[0]}, and {other.name} for {kinds[1]}"
    if unknown := [name for name in other.class_names if name not in schema.class_names]:
        return f"class {unknown[0]!r} of {other.name} is missing from {schema.name}"
    ours, theirs = ([(column.name, column.kind) for column in one.columns] for one in (schema, other))
    if missing := [name for name, kind in ours if (name, kind) not in theirs]:
        return f"column {missing[0]!r} of {schema.name} is missing from {other.name}, or has another type"
    if added := [name for name, kind in theirs if (name, kind) not in ours]:
        return f"{schema.name} has no column {added[0]!r}; upload {other.name} with ignore={added[0]}"
    if not ours and (other.features, other.feature_names) != (schema.features, schema.feature_names):
        return f"{other.name} has {other.features} features, and {schema.name} {schema.features}, or others"
    return None


def class_number(given: str, class_names: Sequence[str]) -> int | None:
    """Return the number of a class by its name, or by that number where names are no numbers; None for no class."""
    if given in class_names:
        return class_names.index(given)
    is_number = given.isascii() and given.isdigit() and not all(name.lstrip("-").isdigit() for name in class_names)
    return int(given) if is_number and given == str(int(given)) and int(given) < len(class_names) else None


def _class_weight_faults(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    weights, names = spec.fit.class_weight, schema.class_names
    if weights is None:
        return
    if schema.classes is None:
        yield Fault(pointer="/fit/class_weight", detail=f"the target of {schema.name} is a number and has no classes")
        return
    if weights == "balanced":
        return
    numbers = {given: class_number(given, names) for given in weights}
    for given, number in numbers.items():
        if number is None:
            shown = f"classes: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
            detail = f"{schema.name} has no such class; {nearest_hint(given, names)}{shown}"
            yield Fault(pointer=pointer(("fit", "class_weight", given)), detail=detail, found=given[:80])
    known = [number for number in numbers.values() if number is not None]
    if len(set(known)) < len(known):
        yield Fault(pointer="/fit/class_weight", detail="a class is given twice, by its name and by its number")
    elif len(known) == schema.classes and not any(weights.values()):
        yield Fault(pointer="/fit/class_weight", detail="all weights are 0; give at least one a positive weight")
