"""Dashboard at `/`: local static files that use the public API like any other client."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from app.api.security_headers import page_policy

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[2] / "static"
_POLICY = page_policy("'self'", "'self' data: blob:")


def mount_dashboard(app: FastAPI) -> None:
    """Serve the dashboard and its files."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")


@router.get("/")
async def dashboard() -> FileResponse:
    """Return the dashboard's page."""
    return FileResponse(
        STATIC / "index.html", headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    )


@router.get("/static/plotly.min.js")
async def plotly() -> FileResponse:
    """Return the chart library, as the package plotly ships it; found without importing that."""
    package = find_spec("plotly")
    if package is None or package.origin is None:
        raise RuntimeError("the package plotly is missing; pip install -e '.[api]'")
    file = Path(package.origin).parent / "package_data" / "plotly.min.js"
    return FileResponse(file, media_type="text/javascript", headers={"Cache-Control": "max-age=86400"})
