"""Files that the reader of uploads refuses: each with the pointer and some words of the fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.app.ingestion.uploads import declared_bomb, header, member, npz, parquet

X, Y = np.zeros((4, 2)), np.array([0, 1, 0, 1])
HUNDRED_AND_ONE = "a,t\n" + "".join(f"v{number},{number % 2}\n" for number in range(101))
Refused = tuple[str, Callable[[], str | bytes], dict[str, Any], str, str]
"""Format, content, changed options, and of the fault: pointer and a part of its detail."""
EXECUTED = Path("/tmp/fittingroom-was-here")  # noqa: S108 - what a header that is run as code would make
FILES: dict[str, Refused] = {
    "nothing": ("csv", lambda: "", {}, "", "the file is empty"),
    "no such target": ("csv", lambda: "a,t\n1,2\n2,3\n", {"target": "T"}, "target", "there is no such column"),
    "no such column to ignore": (
        "csv",
        lambda: "a,t\n1,2\n2,3\n",
        {"ignore": ["b"]},
        "ignore",
        "there is no such column",
    ),
    "the target ignored": (
        "csv",
        lambda: "a,t\n1,2\n2,3\n",
        {"ignore": ["t"]},
        "ignore",
        "the target is to be ignored",
    ),
    "gzip for CSV": ("csv", lambda: b"\x1f\x8b\x08\x00" + b"\0" * 50, {}, "", "this is no text in UTF-8"),
    "UTF-16": ("csv", lambda: "a,t\n1,2\n2,3\n".encode("utf-16"), {}, "", "this is no text in UTF-8"),
    "names in Latin-1": (
        "csv",
        lambda: "é,t\n1,2\n2,3\n".encode("latin-1"),
        {},
        "",
        "the columns' names are not UTF-8",
    ),
    "names that are bytes": ("csv", lambda: b"\x89\xff,t\n1,2\n2,3\n", {}, "", "the columns' names are not UTF-8"),
    "Latin-1": ("csv", lambda: "a,t\né,2\nü,3\n".encode("latin-1"), {}, "ignore", "the column 'a' holds binary"),
    "no header": ("csv", lambda: "1,2\n3,4\n5,6\n", {}, "", "the first line must name the columns"),
    "a header alone": ("csv", lambda: "a,t\n", {}, "", "it has 0 rows"),
    "one row": ("csv", lambda: "a,t\n1,2\n", {}, "", "it has 1 rows"),
    "rows of other lengths": ("csv", lambda: "a,t\n1,2\n1,2,3\n", {}, "", "this is no CSV that can be read"),
    "a quote that never ends": ("csv", lambda: 'a,t\n"1,2\n2,3\n', {}, "", "this is no CSV that can be read"),
    "a column twice": ("csv", lambda: "a,a,t\n1,1,2\n2,2,3\n", {}, "", "two columns have the name 'a'"),
    "a column without a name": ("csv", lambda: ",t\n1,2\n2,3\n", {}, "", "every column needs a name of at most 200"),
    "a hundred thousand columns": (
        "csv",
        lambda: ",".join(f"c{i}" for i in range(100_000)) + "\n",
        {},
        "",
        "the first line names more than 10",
    ),
    "an infinite number": ("csv", lambda: "a,t\n1,2\ninf,3\n", {}, "", "the column 'a' has a number beyond float32 in"),
    "a number beyond float32": (
        "csv",
        lambda: "a,t\n1,2\n1e300,3\n",
        {},
        "",
        "the column 'a' has a number beyond float32 in",
    ),
    "an empty column": ("csv", lambda: "a,b,t\n1,,2\n2,,3\n", {}, "ignore", "the column 'b' is empty"),
    "a column of dates": (
        "csv",
        lambda: "a,t\n2020-01-01,2\n2020-01-02,3\n",
        {},
        "ignore",
        "the column 'a' holds date32[day]",
    ),
    "a column of ids": ("csv", lambda: HUNDRED_AND_ONE, {}, "ignore", "the column 'a' has 101 different values"),
    "a target alone": ("csv", lambda: "t\n1\n2\n", {}, "", "no column is left to learn from"),
    "a target with gaps": ("csv", lambda: "a,t\n1,2\n2,\n", {}, "", "the target 't' is missing in 1 rows"),
    "a target of one class": ("csv", lambda: "a,t\n1,x\n2,x\n", {}, "target", "the target 't' has 1 classes"),
    "texts for regression": (
        "csv",
        lambda: "a,t\n1,x\n2,y\n",
        {"task": "regression"},
        "task",
        "the target 't' has texts",
    ),
    "fractions for classes": (
        "csv",
        lambda: "a,t\n1,0.5\n2,1\n",
        {"task": "classification"},
        "task",
        "the target 't' has numbers that are not whole",
    ),
    "features of one name": ("csv", lambda: "a,a=x,t\nx,1,0\ny,2,1\n", {}, "", "two features would have the same name"),
    "a formula": ("csv", lambda: "a,t\n=cmd|'/c calc'!A0,\n", {}, "", "it has 1 rows"),
    "Parquet cut off": (
        "parquet",
        lambda: parquet(a=[1, 2], t=[1, 2])[:-9],
        {},
        "",
        "this is no Parquet that can be read",
    ),
    "Parquet's name only": (
        "parquet",
        lambda: b"PAR1" + b"\0" * 100 + b"PAR1",
        {},
        "",
        "this is no Parquet that can be read",
    ),
    "Parquet said to be CSV": ("csv", lambda: parquet(a=[1, 2], t=[1, 2]), {}, "", "this is no text in UTF-8"),
    "nested Parquet": (
        "parquet",
        lambda: parquet(a=[[1], [2]], t=[1, 2]),
        {},
        "ignore",
        "the column 'a' holds list<element",
    ),
    "Parquet of ten million rows and one": (
        "parquet",
        lambda: parquet(a=pa.nulls(10_000_001, pa.int8()), t=pa.nulls(10_000_001, pa.int8())),
        {},
        "",
        "it has 10",
    ),
    "an archive cut off": ("npz", lambda: npz(x=X, y=Y)[:-30], {}, "", "this is no .npz file that can be read"),
    "an archive without x": ("npz", lambda: npz(y=Y), {}, "", "the archive must hold the arrays x and y"),
    "an archive with a way out": (
        "npz",
        lambda: member("../../x.npy", b"x"),
        {},
        "",
        "the archive must hold the arrays x and y",
    ),
    "an archive of text": ("npz", lambda: member("x.npy", b"hello"), {}, "", "x is no array that can be read"),
    "a pickle in an archive": (
        "npz",
        lambda: npz(x=np.array([{"a": 1}] * 4, dtype=object), y=Y),
        {},
        "",
        "x holds object",
    ),
    "a pickle for targets": ("npz", lambda: npz(x=X, y=np.array([None] * 4, dtype=object)), {}, "", "y holds object"),
    "a header that is code": (
        "npz",
        lambda: member("x.npy", header("__import__('os').system('touch /tmp/fittingroom-was-here')")),
        {},
        "",
        "x is no array that can be read",
    ),
    "a header nested deep": (
        "npz",
        lambda: member("x.npy", header("(" * 5_000 + ")" * 5_000)),
        {},
        "",
        "x is no array that can be read",
    ),
    "a shape without end": (
        "npz",
        lambda: member("x.npy", header("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 9), }")),
        {},
        "",
        "x says that it has the shape (99999999999",
    ),
    "a negative shape": (
        "npz",
        lambda: member("x.npy", header("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 2), }")),
        {},
        "",
        "x says that it has the shape (-4",
    ),
    "a bomb": ("npz", declared_bomb, {}, "", "x unpacked has 4"),
    "rows that differ": ("npz", lambda: npz(x=X, y=Y[:3]), {}, "", "x has 4 rows"),
    "NaN in an archive": ("npz", lambda: npz(x=np.full((4, 2), np.nan), y=Y), {}, "", "x has a number that is NaN"),
    "complex numbers": ("npz", lambda: npz(x=X.astype(complex), y=Y), {}, "", "x must be numbers of the shape (rows"),
    "records": ("npz", lambda: npz(x=np.zeros((4, 2), [("a", "f4")]), y=Y), {}, "", "x holds [('a'"),
    "one axis": ("npz", lambda: npz(x=X[:, 0], y=Y), {}, "", "x must be numbers of the shape (rows"),
    "no features": ("npz", lambda: npz(x=X[:, :0], y=Y), {}, "", "x has 4 rows of 0 numbers"),
}
