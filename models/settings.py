"""The settings of both processes, read from the environment (`FITTINGROOM_…`). Flags of the command line win."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from fittingroom.specs.experiment import Backend


class Settings(BaseSettings):
    """Every setting has a default that works on a bare machine."""

    model_config = SettingsConfigDict(
        env_prefix="FITTINGROOM_", frozen=True, use_attribute_docstrings=True, extra="forbid"
    )

    data_dir: Path = Path(".fittingroom")
    """Local folder for all files: SQLite, the folder queue, downloads, temporary files."""
    database_url: SecretStr | None = None
    """SQLAlchemy URL, such as `postgresql://user:password@host/name`; by default SQLite in the data folder."""
    broker_url: SecretStr | None = None
    """Celery broker, such as `redis://host:6379/0`; by default a folder in the data folder."""
    storage_url: str | None = None
    """Storage of checkpoints, weights and datasets: a folder, or `s3://bucket/prefix`. Default: in the data folder."""
    lease_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Lease duration, in seconds, after which the cohort of a silent worker is requeued."""
    resend_seconds: Annotated[float, Field(gt=0, le=86_400)] = 5.0
    """Interval, in seconds, at which idle workers are notified again of queued work."""
    max_faults: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of worker faults after which a cohort fails."""
    checkpoint_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """Interval between checkpoints of a running cohort, in seconds."""
    grace_seconds: Annotated[float, Field(gt=0, le=86_400)] = 20.0
    """Grace period, in seconds, for the current epoch to end when a worker or a cohort is stopped."""
    epoch_timeout_seconds: Annotated[float, Field(gt=0, le=30 * 86_400)] = 3_600.0
    """Timeout, in seconds, of an epoch (the first includes compiling), of loading the data, and of one save. A first
    epoch that exceeds it fails its trials; anything else counts as a fault of the worker."""
    retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    """Retention of ended experiments, in days. Default: unlimited."""
    memory_bytes: Annotated[int, Field(ge=64 * 1024**2)] = 4 * 1024**3
    """Memory of a worker, in bytes, for datasets on its device and for the state of trials that train together."""
    max_project_bytes: Annotated[int, Field(ge=1)] = 100 * 10**9
    """Storage quota per project in bytes, for datasets and trained weights."""
    keras_backend: Backend | None = None
    """Keras backend of a worker. Default: TensorFlow if installed, otherwise JAX."""
    max_programs: Annotated[int, Field(ge=1)] = 64
    """Number of compiled programs after which a worker restarts: TensorFlow never frees their memory."""
    allow_remote: bool = False
    """True to allow a non-loopback `--host` without any API key. Use only behind an authenticating proxy."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names of the API beside `localhost` and IP addresses, separated by commas; `*.example.org` is every name
    below `example.org`."""
    allow_private_webhooks: bool = False
    """True to let webhooks call addresses in private networks, and plain `http`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum log level."""
    log_format: Literal["console", "json"] = "console"
    """Log format: `console` for people, `json` for machines, one object per line."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _listed(cls, hosts: object) -> object:
        return tuple(host.strip() for host in hosts.split(",") if host.strip()) if isinstance(hosts, str) else hosts

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, folder: Path) -> Path:
        return folder.expanduser().resolve()

    @property
    def database_location(self) -> str | Path:
        """The database: a URL, in which `postgresql://` means psycopg 3, or SQLite's file."""
        if self.database_url is None:
            return self.data_dir / "fittingroom.db"
        url = self.database_url.get_secret_value()
        for bare in ("postgresql://", "postgres://"):
            if url.startswith(bare):
                return "postgresql+psycopg://" + url.removeprefix(bare)
        return url

    @property
    def celery_broker_url(self) -> str:
        """The broker's URL."""
        return self.broker_url.get_secret_value() if self.broker_url is not None else "filesystem://localhost//"

    @property
    def storage_location(self) -> str:
        """The URL or folder of the storage."""
        return self.storage_url or str(self.data_dir / "storage")

    @property
    def backend(self) -> str:
        """Keras backend."""
        is_jax_alone = find_spec("jax") is not None and find_spec("tensorflow") is None
        return self.keras_backend or ("jax" if is_jax_alone else "tensorflow")

    @property
    def queue_dir(self) -> Path:
        """Folder of the messages when the broker is a folder."""
        return self.data_dir / "queue"

    @property
    def temporary_dir(self) -> Path:
        """Scratch space; on the same disk as the queue, so that files move whole."""
        return self.data_dir / "tmp"

    @property
    def downloads_dir(self) -> Path:
        """Folder of downloaded datasets."""
        return self.data_dir / "downloads"

    @property
    def programs_dir(self) -> Path:
        """Folder of traced and compiled programs, for all workers of this machine."""
        return self.data_dir / "programs"

    def make_folders(self) -> None:
        """Create the data folder, which is for its owner alone, and what lies in it from the start."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.data_dir, self.queue_dir, self.temporary_dir, self.downloads_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
        if isinstance(self.database_location, Path):  # the files that SQLite puts beside it are as open as this one
            self.database_location.touch(mode=0o600)

    def prepare_libraries(self) -> None:
        """Set the environment of libraries before their import: caches in the data folder, and Keras's backend."""
        os.environ["KERAS_BACKEND"] = self.backend
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ["TMPDIR"] = os.environ["MPLCONFIGDIR"] = str(self.temporary_dir)
        os.environ["KERAS_HOME"] = str(self.downloads_dir)


def read_settings() -> Settings:
    """Return the settings of the environment; ends the process with a sentence for each that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        for fault in error.errors():
            name = "".join(f"FITTINGROOM_{part}".upper() for part in fault["loc"])
            sys.stderr.write(f"{name}: {fault['msg']}, found {fault['input']!r}\n")
        sys.exit(2)
