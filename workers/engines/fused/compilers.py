"""Cache of the faster compiler by program, in a file, so that a restarted worker makes the same choice.

Another choice would be correct too, but would round the last bit differently.
"""

import json
import uuid
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from models.storage import UNFINISHED


class KnownCompilers(MutableMapping[str, str]):
    """Program keys and `xla` or `graph`, in a JSON file that several workers may share."""

    def __init__(self, file: Path) -> None:
        """Args: file: need not exist yet; its folder must."""
        self._file = file

    def __getitem__(self, key: str) -> str:
        return self._read()[key]

    def __setitem__(self, key: str, compiler: str) -> None:
        self._write(self._read() | {key: compiler})

    def __delitem__(self, key: str) -> None:
        self._write({known: compiler for known, compiler in self._read().items() if known != key})

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, str]) -> None:
        """Whole or not at all; of two writers at once the later wins, and the other's finding is made again."""
        # Not the process's id: in containers that share the folder every worker may have the same.
        fresh = self._file.with_suffix(f".{uuid.uuid4().hex}{UNFINISHED}")
        fresh.write_text(json.dumps(known, indent=0, sort_keys=True), encoding="utf-8")
        fresh.replace(self._file)
