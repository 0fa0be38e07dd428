"""Bodies of requests, read strictly.

May import: fastapi, `app.json_documents`. Knows no resource.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.json_documents import read_json


class StrictRequest(Request):
    """A request whose JSON has no key twice and no number that is none."""

    async def json(self) -> Any:  # noqa: ANN401 - JSON
        """Its body.

        Raises:
            InvalidJsonError: it is no JSON, or none that is accepted.
        """
        return read_json(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own way to give a route another request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return handle
