"""Warnings: what a spec and its dataset allow, and hardly anybody means."""

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence

from fittingroom.specs.datasets import DatasetColumn, DatasetSchema
from fittingroom.specs.experiment import ExperimentSpec
from fittingroom.specs.faults import Fault, pointer
from fittingroom.specs.heads import Head
from fittingroom.specs.validation.dataset_checks import ends_of_folds, fitting_rows, training_rows

_LARGE = 1_000.0
"""Absolute value of a feature above which it should be standardized: first weights suit numbers around 1."""
_FLOAT32_DIGITS = 1e-6
"""Range of a feature, as a part of its largest value, below which float32 has hardly a digit left for it."""
_MANY_PARAMETERS = 100
"""Parameters per training row."""
_SHOWN = 5


def find_warnings(
    spec: ExperimentSpec, datasets: Mapping[str, DatasetSchema], parameter_counts: Sequence[int]
) -> list[Fault]:
    """Return warnings of an experiment that can train.

    Args:
        spec: what was submitted.
        datasets: those there are, by name.
        parameter_counts: of each trial's network.
    """
    schema = datasets[spec.dataset.name]
    return [
        *_absent_classes(spec, schema, datasets),
        *_class_numbers(spec, schema),
        *_features(spec, schema.columns),
        *_size(spec, schema, parameter_counts),
        *_metrics(spec, schema),
    ]


def _absent_classes(
    spec: ExperimentSpec, schema: DatasetSchema, datasets: Mapping[str, DatasetSchema]
) -> Iterator[Fault]:
    extents = _fitted_extents(spec, schema)
    if extents and (set_aside := [name for name in schema.class_names if name not in extents]):
        detail = f"all rows of classes are among the last ones, for the test: {_listed(set_aside)}"
        yield Fault(pointer="/fit/test_split", detail=f'{detail}; give "split": "stratified" in fit')
    if spec.dataset.validation is not None:
        others = datasets[spec.dataset.validation.name].class_names
        if absent := [name for name in schema.class_names if name not in others]:
            yield Fault(
                pointer="/dataset/validation", detail=f"classes without a row for validation: {_listed(absent)}"
            )
        return
    if not extents:
        return
    rows = fitting_rows(schema.rows, spec.fit)
    if spec.fit.folds is not None:
        ends = ends_of_folds(rows, spec.fit.folds)
        if within := [name for name, (first, last) in extents.items() if bisect(ends, first) == bisect(ends, last)]:
            detail = f'classes whose rows are all in one fold: {_listed(within)}; give "split": "stratified" in fit'
            yield Fault(pointer="/fit/folds", detail=detail)
    if not spec.fit.validation_split:
        return
    cut = training_rows(rows, spec.fit)
    untrained = [name for name, (first, _) in extents.items() if first >= cut]
    unseen = [name for name, (_, last) in extents.items() if last < cut]
    before = " before those for the test" if spec.fit.test_split else ""
    for part, absent in (("training", untrained), ("validation", unseen)):
        if absent:
            detail = (
                f"the last {rows - cut:,} rows{before} are for validation; classes without a row for {part}: "
                f'{_listed(absent)}; give "split": "stratified" in fit'
            )
            yield Fault(pointer="/fit/validation_split", detail=detail)


def _fitted_extents(spec: ExperimentSpec, schema: DatasetSchema) -> dict[str, tuple[int, int]]:
    """Return the first and last row of each class that is not for the test alone; empty if that is not known."""
    # `rows` shuffles: then the extents say nothing.
    if not schema.class_extents or spec.dataset.rows is not None or spec.fit.split != "last":
        return {}
    rows = fitting_rows(schema.rows, spec.fit)
    extents = zip(schema.class_names, schema.class_extents, strict=True)
    return {name: (first, min(last, rows - 1)) for name, (first, last) in extents if first < rows}


def _class_numbers(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    """Find weights of classes whose names look like the numbers of others."""
    names = schema.class_names
    for given in spec.fit.class_weight if isinstance(spec.fit.class_weight, Mapping) else ():
        if given in names and given.isdecimal() and int(given) < len(names) and names[int(given)] != given:
            detail = f"this weighs the class named {given!r}, and not class number {given}, {names[int(given)]!r}"
            yield Fault(pointer=pointer(("fit", "class_weight", given)), detail=detail)


def _features(spec: ExperimentSpec, columns: Sequence[DatasetColumn]) -> Iterator[Fault]:
    constant = [column.name for column in columns if _is_constant(column)]
    if constant:
        yield Fault(pointer="/dataset/name", detail=f"columns that are the same in all rows: {_listed(constant)}")
    if spec.dataset.standardize:
        return
    numbers = [
        (column.name, max(abs(column.minimum), abs(column.maximum)), column.maximum - column.minimum)
        for column in columns
        if column.kind == "number" and column.minimum is not None and column.maximum is not None
    ]
    if digitless := [name for name, largest, spread in numbers if 0 < spread < _FLOAT32_DIGITS * largest]:
        detail = f"columns that vary in digits that float32 has not: {_listed(digitless)}; standardize"
        yield Fault(pointer="/dataset/standardize", detail=detail)
    if large := [name for name, largest, _ in numbers if largest > _LARGE and name not in digitless]:
        detail = (
            f"columns with values above {_LARGE:,.0f}, from which networks learn slowly: {_listed(large)}; standardize"
        )
        yield Fault(pointer="/dataset/standardize", detail=detail)


def _is_constant(column: DatasetColumn) -> bool:
    if column.missing:
        return False
    return (
        len(column.categories) == 1
        if column.kind == "category"
        else column.minimum is not None and (column.minimum == column.maximum)
    )


def _size(spec: ExperimentSpec, schema: DatasetSchema, parameter_counts: Sequence[int]) -> Iterator[Fault]:
    rows = training_rows(fitting_rows(spec.dataset.rows or schema.rows, spec.fit), spec.fit)
    most = max(parameter_counts)
    if most > _MANY_PARAMETERS * rows:
        detail = f"a network has {most:,} parameters for {rows:,} training rows; it can learn them by heart"
        yield Fault(pointer="/model" if spec.model is not None else "/models", detail=detail)


def _metrics(spec: ExperimentSpec, schema: DatasetSchema) -> Iterator[Fault]:
    found = [fault for one in spec.by_loss() for head in one.heads for fault in _metrics_of_other_outputs(head, schema)]
    yield from dict.fromkeys(found)  # several losses may have the same


def _metrics_of_other_outputs(head: Head, schema: DatasetSchema) -> Iterator[Fault]:
    """Find metrics that read outputs as probabilities, which these are not, or divide by targets that are 0."""
    loss, of_zeros = head.loss, "an error in percent of the target means nothing where targets are 0 and 1"
    from_logits = getattr(loss, "from_logits", False)
    outputs = "logits" if from_logits else "from -1 to 1" if loss.reads == "signs" else None
    is_binary = loss.reads == "signs" or loss.is_of_tags
    for number, metric in enumerate(head.metrics):
        place = pointer(head.place("metrics", number))
        reads = metric.reads_probabilities and not getattr(metric, "from_logits", False)
        if outputs is not None and (reads or (metric.name == "accuracy" and is_binary)):
            detail = f"as in Keras, {metric.name} reads outputs as probabilities, and these are {outputs}"
            yield Fault(pointer=place, detail=detail)
        elif metric.name == "mape" and schema.classes is not None:
            yield Fault(pointer=place, detail=of_zeros)
    if loss.name == "mape" and schema.classes is not None:
        yield Fault(pointer=pointer(head.place("loss")), detail=of_zeros)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{shown}{more}"
