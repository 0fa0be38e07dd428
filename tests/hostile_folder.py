"""A folder whose modules have the names of ours, and leave a mark when they are executed."""

from pathlib import Path

_CODE = """
import pathlib
pathlib.Path(__file__).with_suffix(".executed").touch()
raise RuntimeError("a stranger's module was imported")
"""
_PACKAGES = ("models", "workers", "migrations", "examples")


def hostile_folder(parent: Path) -> Path:
    """Return a new folder as every second data scientist has one: `app.py`, `models/`, `workers/`, `migrations/`."""
    folder = parent / "project"
    folder.mkdir()
    (folder / "app.py").write_text(_CODE, encoding="utf-8")
    for package in _PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(_CODE, encoding="utf-8")
    return folder


def executed(folder: Path) -> list[str]:
    """Return the names of the folder's modules that were executed."""
    return [str(file.relative_to(folder)) for file in folder.rglob("*.executed")]
