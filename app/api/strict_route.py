"""Requests, read strictly: what is not understood is refused, not passed over."""

import difflib
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from app.services.strict_json import read_json


class StrictRequest(Request):
    """A request whose JSON has no key twice and no number that is none."""

    async def json(self) -> Any:  # noqa: ANN401 - JSON
        """Its body.

        Raises:
            InvalidJsonError: it is no JSON, or none that is accepted.
        """
        return read_json(await self.body())


class StrictRoute(APIRoute):
    """A route that refuses query parameters it does not know, and reads its body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own way to give a route another request."""
        handler = super().get_route_handler()
        known = [field.alias for field in self.dependant.query_params]

        async def handle(request: Request) -> Response:
            if request.scope["query_string"]:
                for name in request.query_params:
                    if name not in known:
                        _refuse_unknown(name, known)
                    if len(request.query_params.getlist(name)) > 1:
                        refuse_parameter(name, name, "stands twice; give it once")
            return await handler(StrictRequest(request.scope, request.receive))

        return handle


def refuse_parameter(name: str, found: str, message: str) -> NoReturn:
    """Refuse a query parameter for what its type cannot tell."""
    raise RequestValidationError([{"type": "refused", "loc": ("query", name), "msg": message, "input": found}])


def _refuse_unknown(name: str, known: list[str]) -> NoReturn:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    known_here = f"known here: {', '.join(known)}" if known else "none is known here"
    refuse_parameter(name[:80], name, f"there is no such parameter; {hint}{known_here}")
