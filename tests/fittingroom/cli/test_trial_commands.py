"""The rows that `fittingroom predict` reads from CSV; tests/e2e/test_artifacts.py predicts them."""

from pathlib import Path

import pytest
import typer

from fittingroom.cli.trial_commands import _records


def test_cells_are_numbers_truths_or_texts(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(
        '\ufeffage,city,id,member\r\n22,"Ulm, Donau",007,True\r\n,nan,0,false\r\n-1.5e3,Bonn,1' + "0" * 400 + ",x\r\n"
    )
    assert _records(file) == [
        {"age": 22.0, "city": "Ulm, Donau", "id": "007", "member": True},
        {"age": None, "city": "nan", "id": 0.0, "member": False},
        {"age": -1500.0, "city": "Bonn", "id": "1" + "0" * 400, "member": "x"},
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n\n1,2,3\n", "row 4: found 3 cells, and the header has 2"),
        ("", "expected CSV with a header"),
        ('a,b\n"1,2\n', "expected CSV with a header: unexpected end of data"),
        (b"a,b\n\xff,2\n", "expected CSV with a header: 'utf-8' codec"),
    ],
)
def test_text_that_is_no_table(
    tmp_path: Path, text: str | bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(typer.Exit):
        _records(file)
    assert says in " ".join(capsys.readouterr().err.split())
