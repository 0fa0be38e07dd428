"""One cohort in the fused engine, from its first epoch, or a checkpoint, to its end."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.specs.heads import recorded_metrics
from fittingroom.specs.search.search_space import sampled_value
from workers.engines.backends.chosen import backend
from workers.engines.backends.seam import CannotCompileError, CannotMapError, Capacity
from workers.engines.base import (
    CannotTrainError,
    Checkpoint,
    Cohort,
    EpochDecision,
    Metrics,
    Report,
    UnusableCheckpointError,
)
from workers.engines.compilers import Calls, CompilerChoice, as_begun, choose_compiler
from workers.engines.fused.epoch import Data, EpochPlan, TrainingStep
from workers.engines.fused.layout import ProgramLayout, Workload, arrange, is_worth_shrinking
from workers.engines.fused.programs import Program, ProgramCache
from workers.engines.fused.trial_block import TrialArrays, TrialBlock
from workers.engines.row_order import permutation


class Training:
    """Trains a cohort. A trial is known by its index in the cohort."""

    def __init__(
        self,
        cohort: Cohort,
        trial_arrays: Sequence[TrialArrays],
        step: TrainingStep,
        data: Data,
        report: Report,
        capacity: Capacity,
    ) -> None:
        """Begin, or go on where the cohort's checkpoint is.

        Args:
            cohort: whose trials fit into memory together.
            trial_arrays: what each trial starts from.
            step: what they compute.
            data: what they train on.
            report: receives the epochs.
            capacity: of the device.

        Raises:
            UnusableCheckpointError: the checkpoint is of something else.
        """
        self._trials, self._trial_arrays = (trials := cohort.trials), dict(enumerate(trial_arrays))
        self._chosen = None if cohort.compiler is None else as_begun(cohort.compiler)
        self._step, self._data, self._report, self._capacity = step, data, report, capacity
        self._seeds = [trial.spec.seed for trial in trials]
        self._max_epochs = max(sampled_value(trial.spec.fit.epochs) for trial in trials)
        self._rows = data.training.x.shape[0]
        self._steps = np.int32(step.batches.steps(self._rows))
        self._shuffle = sampled_value(trials[0].spec.fit.shuffle)
        self._names = recorded_metrics(trials[0].spec.heads, validated=bool(data.validation))
        # When each trial ends. Those that ended in an earlier attempt are computed again, to sit beside the others, but
        # not reported: the last bit of a trial may depend on how many share its program.
        self._ends = {index: trial.ended_after for index, trial in enumerate(trials) if trial.ended_after is not None}
        self._reported = {index for index, trial in enumerate(trials) if trial.ended_after is None}
        self._layout: ProgramLayout | None = None
        self._program: Program | None = None
        self._blocks: list[TrialBlock] = []
        self._is_one_order = False
        self._completed = 0
        if cohort.checkpoint is not None:
            self._restore(cohort.checkpoint)

    @property
    def compiler(self) -> str | None:
        """Compiler of all its programs, fixed by the first one, also for a resumed training; None before."""
        return None if self._chosen is None else self._chosen.compiler

    def run(self, programs: ProgramCache, threads: ThreadPoolExecutor) -> set[str]:
        """Train until the report has stopped every trial. Returns the trials it has stopped, of whatever part."""
        stopped: set[str] = set()
        load = self._workload(self._capacity)
        while self._reported - self._ends.keys():
            epoch = self._completed + 1
            training = [index for index in range(len(self._trials)) if self._ends.get(index, epoch) >= epoch]
            if self._layout is None or self._is_worth_shrinking(training, epoch, load):
                self._arrange(training, load, programs)
            elif self._program is None:  # it goes on from a checkpoint
                self._place(self._layout, programs)
            answer = self._report.on_epoch(epoch, *self._train_epoch(training, epoch, threads))
            self._obey(answer, epoch)
            stopped |= answer.stopped.keys()
            self._completed = epoch
            if answer.checkpoint:
                self._report.on_checkpoint(self._checkpoint(epoch))
        return stopped

    def _checkpoint(self, epoch: int, kept: Collection[str] | None = None) -> Checkpoint:
        """Return a checkpoint after an epoch, without what follows from the specs.

        Args:
            epoch: the last one that was trained.
            kept: trials that end now, of which alone the state is returned; None for those that go on.
        """
        assert self._layout is not None  # noqa: S101 - for mypy
        arrays: dict[str, NDArray[Any]] = {}
        for block in self._blocks:
            for index, of_trial in block.trial_arrays().items():
                if kept is None or self._trials[index].id in kept:
                    arrays |= of_trial.arrays(f"{index}")
        training = (self._trials[index].id for index in self._reported - self._ends.keys())
        return Checkpoint(
            dict.fromkeys(training if kept is None else kept, epoch),
            {
                "trials": [trial.id for trial in self._trials],
                "epoch": epoch,
                "width": self._layout.width,
                "at_once": self._layout.at_once,
                "epochs_per_call": self._layout.epochs_per_call,
                "chunks": self._layout.blocks,  # the name in checkpoints of before
                "lanes": [self._layout.lanes_of(number) for number in range(len(self._layout.blocks))],
                "laid_out_for": self._layout.laid_out_for,
                "is_one_order": self._is_one_order,
            },
            arrays,
        )

    def _restore(self, saved: Checkpoint) -> None:
        """Take the arrays of the trials and the layout of a checkpoint: they decide the last bits of what follows."""
        blocks = tuple(tuple(block) for block in saved.document["chunks"])
        for index in (index for block in blocks for index in block):
            self._trial_arrays[index] = self._trial_arrays[index].restored(saved.arrays, f"{index}")
        document = saved.document
        lanes = document.get("lanes")
        self._layout = ProgramLayout(
            document["width"], document["at_once"], document.get("epochs_per_call", 1), blocks,
            None if lanes is None else tuple(map(tuple, lanes)), document.get("laid_out_for"),
            document.get("is_one_order"),
        )  # fmt: skip
        self._completed = document["epoch"]

    def _train_epoch(
        self, training: Sequence[int], epoch: int, threads: ThreadPoolExecutor
    ) -> tuple[dict[str, Metrics], dict[str, Metrics]]:
        """Train what is training; return its metrics, and those of trials that had ended and were computed again."""
        wanted = set(training)
        blocks = [block for block in self._blocks if not wanted.isdisjoint(block.trials)]

        assert self._layout is not None  # noqa: S101 - for mypy
        last = max(sampled_value(self._trials[index].spec.fit.epochs) for index in training)
        epochs = min(self._layout.epochs_per_call, last - epoch + 1)

        def train(block: TrialBlock) -> NDArray[np.float32]:
            assert self._program is not None  # noqa: S101 - for mypy
            return block.next_epoch(self._program, self._data, partial(self._epoch_plan, block, epoch, epochs))

        apply = threads.map if min(self._layout.at_once, len(blocks)) > 1 else map
        tables = list(apply(train, blocks))
        columns = {
            index: table[:, column]
            for block, table in zip(blocks, tables, strict=True)
            for column, index in enumerate(block.trials)
        }
        found: tuple[dict[str, Metrics], dict[str, Metrics]] = ({}, {})
        for index in training:
            metrics = dict(zip(self._names, columns[index].tolist(), strict=True))
            found[index not in self._reported][self._trials[index].id] = metrics
        return found

    def _obey(self, answer: EpochDecision, epoch: int) -> None:
        indices = {trial.id: index for index, trial in enumerate(self._trials)}
        best = {indices[trial_id] for trial_id in answer.best}
        rates = {indices[trial_id]: rate for trial_id, rate in answer.learning_rates.items()}
        ended = [indices[trial_id] for trial_id in answer.stopped if trial_id in indices]
        for block in self._blocks:
            block.keep(best)
            block.set_learning_rates(rates)
        if answer.kept:
            self._report.on_last_state(self._checkpoint(epoch, answer.kept))
        for block in self._blocks:
            for index in ended:
                if index in block.trials and index not in self._ends:
                    self._report.on_trial_end(self._trials[index].id, partial(block.weights, index))
        self._ends |= {index: epoch for index in ended if index not in self._ends}

    def _workload(self, capacity: Capacity) -> Workload:
        step, spec = self._step, self._trials[0].spec
        return Workload(
            capacity,
            step.can_map,
            step_cost=step.cost,
            epoch_cost=step.row_cost * self._rows,
            trial_bytes=self._trial_arrays[0].nbytes,
            steps=-(-self._rows // step.batches.size),
            one_by_one=spec.fit.time_limit_seconds is not None
            or spec.reduce_lr_on_plateau is not None
            or self._max_epochs == 1,
        )

    def _is_worth_shrinking(self, training: Sequence[int], epoch: int, load: Workload) -> bool:
        assert self._layout is not None  # noqa: S101 - for mypy
        last = max(sampled_value(self._trials[index].spec.fit.epochs) for index in training)
        return is_worth_shrinking(self._layout, len(training), last - epoch + 1, load)

    def _arrange(self, training: Sequence[int], load: Workload, programs: ProgramCache) -> None:
        """Find a layout for the trials that train."""
        for block in self._blocks:
            self._trial_arrays |= block.trial_arrays()
        self._blocks = []
        try:
            self._place(arrange(training, replace(load, can_map=self._step.can_map)), programs)
        except CannotMapError:
            self._step.can_map = False
            self._place(arrange(training, replace(load, can_map=False)), programs)

    def _place(self, layout: ProgramLayout, programs: ProgramCache) -> None:
        """Stack the arrays of the trials as the layout says, and get the program for them."""
        self._layout = layout
        self._blocks = [
            TrialBlock(
                self._step, trials, [self._trial_arrays[p] for p in trials], layout.lanes_of(number), layout.width,
                layout.epochs_per_call,
            )
            for number, trials in enumerate(layout.blocks)
        ]  # fmt: skip
        self._is_one_order = layout.is_one_order if layout.is_one_order is not None else self._has_one_order(layout)
        first = self._blocks[0]
        arguments = first.arguments(self._data, self._epoch_plan(first, epoch=1, epochs=1, start=0))
        orders = "one order" if self._is_one_order else "an order each"
        variant = f"{layout.width}/{orders}/{layout.epochs_per_call}"
        choice = self._chosen or self._choice()
        try:
            self._program = program = programs.program(
                self._step, variant, choice.compiler, arguments, self._report.on_phase
            )
        except CannotCompileError as error:
            if self._chosen is not None or choice.compiler == backend.COMPILERS[0]:
                raise CannotTrainError(str(error)) from error
            self._chosen = CompilerChoice(backend.COMPILERS[0], f"XLA refuses the program: {error}")
            self._place(layout, programs)
            return
        self._chosen = choice
        self._report.on_program(
            {
                "trials_per_program": layout.width,
                "programs_side_by_side": min(len(layout.blocks), layout.at_once),
                "epochs_per_call": layout.epochs_per_call,
                "compiler": choice.compiler,
                "compiler_reason": choice.reason,
                "known_program": program.known,
                "compile_seconds": 0.0 if program.known else round(program.compile_seconds, 3),
            }
        )

    def _has_one_order(self, layout: ProgramLayout) -> bool:
        seeds = ({self._seeds[index] for index in trials} for trials in layout.blocks)
        return not self._shuffle or all(len(of_block) == 1 for of_block in seeds)

    def _choice(self) -> CompilerChoice:
        """Return the compiler that the rule says."""
        spec = self._trials[0].spec
        trials = len(self._trials)
        takes_turns = not self._step.can_map or self._step.cost >= self._capacity.fills
        width, turns = (1, trials) if takes_turns else (trials, 1)
        calls = Calls(
            width,
            turns,
            int(self._steps),
            self._step.cost,
            self._max_epochs,
            self._capacity.is_gpu,
            self._step.sequence_steps,
        )
        return choose_compiler(spec, calls, backend.COMPILERS)

    def _epoch_plan(self, block: TrialBlock, epoch: int, epochs: int, start: int) -> EpochPlan:
        """Return the plan of a call of several epochs, from one counted from 1."""
        assert self._layout is not None  # noqa: S101 - for mypy
        orders = [self._order(block, number) for number in range(epoch, epoch + epochs)]
        orders += [orders[-1]] * (self._layout.epochs_per_call - epochs)
        start_, steps, epochs_ = (backend.to_device(np.int32(number)) for number in (start, self._steps, epochs))
        return EpochPlan(backend.stack(orders), start_, steps, epochs_)

    def _order(self, block: TrialBlock, epoch: int) -> NDArray[np.int32]:
        """Return the row order for the trials of a block; see `EpochPlan`."""
        if not self._shuffle:
            return self._padded(np.arange(self._rows, dtype=np.int32))
        seeds = [self._seeds[index] for index in block.trials]
        orders = {seed: self._padded(permutation(seed, epoch, self._rows).astype(np.int32)) for seed in set(seeds)}
        return orders[seeds[0]] if self._is_one_order else np.stack([orders[seed] for seed in block.filled(seeds)])

    def _padded(self, order: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.pad(order, (0, self._step.batches.padded(self._rows) - self._rows))


def continued(last: Checkpoint, trials: Mapping[str, str]) -> Checkpoint:
    """Return a checkpoint in which other trials have the places of some that have ended; see `Engine.continued`."""
    document = last.document
    if not last.epochs.keys() >= set(trials.values()):
        raise UnusableCheckpointError("the state of one of the trials was not kept with it")
    before = [document["trials"].index(ended) for ended in trials.values()]
    after = {index: place for place, index in enumerate(before)}
    blocks, lanes = [], []
    for block, places in zip(document["chunks"], document["lanes"], strict=True):
        mine = [(after[index], lane) for index, lane in zip(block, places, strict=True) if index in after]
        if mine:
            blocks.append([index for index, _ in mine])
            lanes.append([lane for _, lane in mine])
    arrays = {}
    for name, array in last.arrays.items():
        index, rest = name.split("/", 1)
        if int(index) in after:
            arrays[f"{after[int(index)]}/{rest}"] = array
    stacked = document.get("laid_out_for") or sum(map(len, document["chunks"]))
    changed = {"trials": list(trials), "chunks": blocks, "lanes": lanes, "laid_out_for": stacked}
    return Checkpoint(dict.fromkeys(trials, document["epoch"]), {**document, **changed}, arrays)
