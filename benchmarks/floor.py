"""The least that FastAPI takes: one endpoint, one SQL read, no more. `python -m benchmarks.floor PORT DATABASE`.

What the API is measured beside.
"""

import sqlite3
import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI()
_connection = sqlite3.connect(sys.argv[2] if len(sys.argv) > 2 else ":memory:", check_same_thread=False)
_connection.execute("CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY, value TEXT)")
_connection.executemany("INSERT OR IGNORE INTO numbers VALUES (?, ?)", [(number, "x" * 500) for number in range(100)])
_connection.commit()


@app.get("/livez")
async def live() -> dict[str, str]:
    """Liveness."""
    return {"status": "alive"}


@app.get("/row/{row_id}")
async def row(row_id: int) -> dict[str, str]:
    """One row."""
    [value] = _connection.execute("SELECT value FROM numbers WHERE id = ?", (row_id,)).fetchone()
    return {"value": value}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
