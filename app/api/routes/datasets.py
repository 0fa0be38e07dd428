"""Datasets: list, show, upload, delete."""

import csv
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.api.dependencies import AdminService, ReadService, SubmitService
from app.api.problems import Responses, problem_responses
from app.api.request_bodies import spool
from app.api.strict_route import StrictRoute
from app.services.datasets import MAX_FILE_BYTES, NAME_PATTERN, Format, Upload
from fittingroom.specs.base import Visible
from fittingroom.specs.datasets import DatasetSchema
from fittingroom.specs.faults import Fault, InvalidSpec
from fittingroom.specs.limits import MAX_NAME_LENGTH
from fittingroom.views import resources

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=StrictRoute)

_READERS = CapacityLimiter(1)
"""One upload is parsed at a time: each may take some gigabytes of memory."""
_FORMATS: dict[str, Format] = {
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
    "application/x-npz": "npz",
}
_ANYTHING = "application/octet-stream"
_FILE = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "sepal,petal,species\n5.1,1.4,setosa\n6.2,4.5,other\n",
            },
            **dict.fromkeys([*list(_FORMATS)[1:], _ANYTHING], _FILE),
        },
    }
}
_Columns = Annotated[str, Field(max_length=10_000), Visible()]
_REPEATED: Responses = {200: {"model": DatasetSchema, "description": "It was there before."}}


@router.get("", operation_id="list_datasets", responses=problem_responses(503))
def list_datasets(service: ReadService) -> resources.ListView[DatasetSchema]:
    """List all datasets: built-in ones, then uploaded ones by name."""
    return resources.ListView(items=service.datasets.list_schemas())


@router.get("/{name}", operation_id="get_dataset", responses=problem_responses(404, 503))
def get_dataset(name: str, service: ReadService) -> DatasetSchema:
    """Return the schema of a dataset: rows, features, classes, and a preview."""
    return service.datasets.get_schema(name)


@router.post(
    "",
    status_code=201,
    operation_id="upload_dataset",
    responses=_REPEATED | problem_responses(408, 409, 413, 415, 422, 503, 507),
    openapi_extra=_BODY,
    description=f"""\
Upload a table of up to {MAX_FILE_BYTES // 1024**2} MiB: CSV with a header line, Parquet, or a NumPy archive with the
arrays `x` and `y` (the format of `{_ANYTHING}` is detected from the content). Text columns are one-hot encoded. Missing
numbers are replaced by the mean of the training rows, and a feature `…_was_missing` marks them. Repeating an upload
changes nothing.""",
)
async def upload_dataset(  # noqa: PLR0913 - a query's parameters
    service: SubmitService,
    request: Request,
    response: Response,
    *,
    name: Annotated[
        str,
        Query(max_length=64, pattern=NAME_PATTERN, description="Name by which specs refer to the dataset."),
    ],
    target: Annotated[
        Annotated[str, Field(max_length=MAX_NAME_LENGTH), Visible()] | None,
        Query(
            description="Target column. Default: the column named `target`.",
        ),
    ] = None,
    task: Annotated[
        Literal["auto", "classification", "regression"],
        Query(description="Type of the target; `auto` takes text and columns of few distinct integers for classes."),
    ] = "auto",
    ignore: Annotated[_Columns | None, Query(description="Columns to exclude, separated by commas.")] = None,
    categorical: Annotated[
        _Columns | None,
        Query(description="Numeric columns to treat as categories, separated by commas."),
    ] = None,
    description: Annotated[
        Annotated[str, Field(max_length=1_000), Visible()], Query(description="Description of the dataset.")
    ] = "",
) -> DatasetSchema:
    """Upload a dataset."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in _FORMATS and kind != _ANYTHING:
        detail = f"expected one of: {', '.join([*_FORMATS, _ANYTHING])}; with curl: -H 'Content-Type: text/csv'"
        raise InvalidSpec([Fault(pointer="", detail=detail, found=f"Content-Type: {kind}"[:100])])
    with tempfile.NamedTemporaryFile(dir=service.datasets.temporary_dir) as file:
        await spool(request, file, MAX_FILE_BYTES, service.datasets.temporary_dir)
        file.flush()
        path = Path(file.name)
        found = _FORMATS.get(kind) or _format_of(path)
        upload = Upload(name, found, target, task, _listed(ignore), _listed(categorical), description)
        schema, is_repeated = await to_thread.run_sync(service.datasets.upload, path, upload, limiter=_READERS)
    response.status_code = 200 if is_repeated else 201
    response.headers["Location"] = f"/v1/datasets/{schema.name}"
    return schema


@router.delete(
    "/{name}", status_code=204, operation_id="delete_dataset", responses=problem_responses(404, 409, 422, 503)
)
def delete_dataset(name: str, service: AdminService) -> None:
    """Delete a dataset. Refused while an unfinished experiment uses it."""
    service.datasets.delete(name)


def _format_of(file: Path) -> Format:
    """Detect the format of a file from its first bytes."""
    with file.open("rb") as opened:
        start = opened.read(4)
    return "parquet" if start == b"PAR1" else "npz" if start == b"PK\x03\x04" else "csv"


def _listed(columns: str | None) -> list[str]:
    """Columns as one line of CSV, so that a name with a comma can be quoted."""
    return next(csv.reader([columns]), []) if columns else []
