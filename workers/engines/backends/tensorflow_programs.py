"""Programs of TensorFlow: traces that are the same in every process, and what is compiled of them."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from contextvars import ContextVar

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDefLibrary
from tensorflow.python.eager import context

from workers.engines.backends.seam import CannotCompileError, Tensor, Tree, in_a_line
from workers.engines.program_store import KeptProgram

_UNLOADABLE: set[str] = set()
"""Names of programs whose kept executables could not be loaded by this process."""
COMPILER: ContextVar[str] = ContextVar("compiler", default="xla")
"""Compiler of what is traced."""


class Compiled:
    """A trace as one program: TensorFlow's graph as it is, or compiled by XLA.

    It is called by its name in TensorFlow's library of functions.
    """

    def __init__(self, trace: bytes, compiler: str, kept: KeptProgram, *example: Tree) -> None:
        """Compile, or take what is kept.

        Args:
            trace: as `trace` gave it.
            compiler: the one that it was traced for.
            kept: where the program is kept.
            example: arguments of the shapes that it will have. It is run with them, which is when it is compiled.

        Raises:
            CannotCompileError: the trace cannot be compiled.
        """
        library = FunctionDefLibrary.FromString(trace)
        if library.function[0].signature.name in _UNLOADABLE:
            _renamed(library, uuid.uuid4().hex)
        self._register(library)
        if compiler != "xla":
            self._compile(example)
            return
        is_known = False
        try:
            with kept.executable() as is_known:
                self._compile(example)
        except (CannotCompileError, tf.errors.OpError):
            if not is_known:
                raise
            # What was kept is kept no longer, but by its name TensorFlow remembers that it could not be loaded.
            _UNLOADABLE.add(library.function[0].signature.name)
            self._register(_renamed(library, uuid.uuid4().hex))
            with kept.executable():
                self._compile(example)

    def _register(self, library: FunctionDefLibrary) -> None:
        for definition in library.function:
            context.context().add_function_def(definition)
        self._name = library.function[0].signature.name.encode()
        self._outputs = len(library.function[0].signature.output_arg)

    def _compile(self, example: Tree) -> None:
        try:
            self(*example)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise CannotCompileError(in_a_line(error)) from error

    def __call__(self, *arguments: Tree) -> list[Tensor]:
        """Run it."""
        found: list[Tensor] = context.context().call_function(self._name, tf.nest.flatten(arguments), self._outputs)
        return found


def trace(function: Callable[..., list[Tensor]], compiler: str, example: Sequence[Tree]) -> bytes:
    """See the seam: a library of functions of which it is the first, under names that follow from the content."""
    specs = tf.nest.map_structure(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), example)
    before = COMPILER.set(compiler)
    try:
        traced = tf.function(function, autograph=False).get_concrete_function(*specs)
    except (ValueError, TypeError, NotImplementedError, tf.errors.OpError) as error:
        raise CannotCompileError(in_a_line(error)) from error
    finally:
        COMPILER.reset(before)
    if traced.captured_inputs:  # a tensor of this process
        raise CannotCompileError(f"the function needs {len(traced.captured_inputs)} tensors that are no arguments")
    library = FunctionDefLibrary(function=[traced.function_def, *traced.graph.as_graph_def().library.function])
    if compiler == "xla":
        library.function[0].attr["_XlaMustCompile"].b = True
    digest = hashlib.sha256(library.SerializeToString(deterministic=True)).hexdigest()[:16]
    content: bytes = _renamed(library, digest).SerializeToString(deterministic=True)
    return content


def _renamed(library: FunctionDefLibrary, name: str) -> FunctionDefLibrary:
    """Give the functions of a library other names, wherever they are called."""
    names = {one.signature.name: f"program_{name}_{number}" for number, one in enumerate(library.function)}
    for one in library.function:
        one.signature.name = names[one.signature.name]
        for node in one.node_def:
            node.op = names.get(node.op, node.op)
            for attribute in node.attr.values():
                for called in [attribute.func, *attribute.list.func]:
                    if called.name in names:
                        called.name = names[called.name]
    return library
