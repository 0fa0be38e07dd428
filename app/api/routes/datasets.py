"""Datasets: list, show, upload, delete."""

import csv
import tempfile
from collections.abc import Sequence
from email.message import Message
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
_Listed = Annotated[Sequence[Annotated[str, Field(max_length=10_000), Visible()]], Field(max_length=100)]
_SEVERAL = ", separated by commas or in several parameters"
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
    responses=_REPEATED | problem_responses(408, 409, 413, 415, 422, 431, 503, 507),
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
    ignore: Annotated[_Listed, Query(description=f"Columns to exclude{_SEVERAL}.")] = (),
    categorical: Annotated[
        _Listed,
        Query(description=f"Columns whose values are categories, such as numbers of districts{_SEVERAL}."),
    ] = (),
    group: Annotated[
        Annotated[str, Field(max_length=MAX_NAME_LENGTH), Visible()] | None,
        Query(
            description="Column, or array of an NPZ file, that says which rows belong together, such as a patient's, "
            'for `"split": "group"`. It is no feature. Default: none.',
        ),
    ] = None,
    separator: Annotated[
        Annotated[str, Field(pattern=r"^([,;|\t ]|tab)$")] | None,
        Query(description="Character between the columns of CSV, or `tab`. Default: as in the first line."),
    ] = None,
    decimal: Annotated[Literal[".", ","], Query(description="Decimal point of CSV.")] = ".",
    thousands: Annotated[
        Literal[",", ".", " ", "'", "_"] | None,
        Query(description="Character between groups of three digits in CSV. Default: none."),
    ] = None,
    missing: Annotated[_Listed, Query(description=f"Further texts that mark a missing value in CSV{_SEVERAL}.")] = (),
    default_missing: Annotated[
        bool, Query(description="False to take `NA`, `None`, `null` and the like in CSV as texts; empty is missing.")
    ] = True,
    drop_missing_target: Annotated[bool, Query(description="True to leave out rows without a target.")] = False,
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
        options = {
            "target": target,
            "task": task,
            "ignore": _listed(ignore),
            "categorical": _listed(categorical),
            "group": group,
            "separator": separator,
            "decimal": decimal,
            "thousands": thousands,
            "missing": _listed(missing),
            "default_missing": default_missing,
            "charset": _charset_of(request),
            "drop_missing_target": drop_missing_target,
        }
        upload = Upload(name, found, description, options)
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


def _listed(given: Sequence[str]) -> list[str]:
    """Each parameter as a line of CSV, so that a name with a comma can be quoted."""
    return [one for text in given for one in next(csv.reader([text]), [])]


def _charset_of(request: Request) -> str | None:
    """Return the encoding that a request's Content-Type declares."""
    message = Message()
    message["Content-Type"] = request.headers.get("content-type", "")
    charset = message.get_param("charset")
    return charset[:80] if isinstance(charset, str) else None
