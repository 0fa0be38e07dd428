"""API documentation page, from local files: works without internet."""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from app.api.openapi import describe_briefly
from app.api.security_headers import page_policy

router = APIRouter(include_in_schema=False)

_ASSETS = "/docs/assets"


def mount_documentation(app: FastAPI) -> None:
    """Serve Swagger UI and its files."""
    package = find_spec("fastapi_offline")
    if package is None or package.origin is None:
        raise RuntimeError("the package fastapi-offline is missing; pip install -e '.[api]'")
    app.mount(_ASSETS, StaticFiles(directory=Path(package.origin).parent / "static"), name="docs-assets")
    app.include_router(router)


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Swagger UI over a schema that it can show at once."""
    page = get_swagger_ui_html(
        openapi_url="/docs/openapi.json",
        title="Fitting Room",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon.png",
        swagger_ui_parameters={"tryItOutEnabled": True, "defaultModelsExpandDepth": 0, "displayRequestDuration": True},
    )
    # The page's one script of its own is allowed by its hash.
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    ]
    page.headers["Content-Security-Policy"] = page_policy(" ".join(["'self'", *hashes]), "'self' data:")
    return page


@router.get("/openapi.json")
async def openapi(request: Request) -> JSONResponse:
    """Return the OpenAPI document; building it takes a second, once."""
    return JSONResponse(await to_thread.run_sync(request.app.openapi))


@router.get("/docs/openapi.json")
async def docs_openapi(request: Request) -> JSONResponse:
    """Return the OpenAPI document of the docs page."""
    return JSONResponse(await to_thread.run_sync(describe_briefly, request.app))
