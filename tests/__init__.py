"""Tests: the folders mirror the tree; `e2e` runs real processes. `--servers` adds PostgreSQL and Redis to SQLite."""
