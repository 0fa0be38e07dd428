"""Cache of compiler choices: a file shared by workers, whether or not they have the same process id."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workers.engines.fused.compilers import KnownCompilers


def test_workers_with_the_same_process_id_may_write_at_once(tmp_path: Path) -> None:
    """Containers that share a folder may have equal ids; so do threads."""
    file = tmp_path / "compilers.json"

    def write(number: int) -> None:
        KnownCompilers(file)[f"program {number}"] = "xla"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(500)))
    assert set(KnownCompilers(file).values()) == {"xla"}
    assert [path.name for path in tmp_path.iterdir()] == ["compilers.json"]
