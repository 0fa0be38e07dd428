"""Protection against DNS rebinding and cross-site requests: refuses foreign hosts and origins.

A page reaches a service on its visitor's own machine in two ways. It can send forms and simple requests there, which
the browser marks with the page's origin; and its name can be made to resolve to this machine (DNS rebinding), which
then shows in the header Host.
"""

import ipaddress
from collections.abc import Collection
from functools import lru_cache

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import problem_response
from app.api.security_headers import SECURITY_HEADERS

_HEADERS = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_MAX_HOST = 300
"""A longer host is none of ours."""
_PORTS = {"http": ":80", "https": ":443"}
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class WebOrigins:
    """ASGI middleware that answers requests of foreign hosts with 421, and changes from foreign pages with 403."""

    def __init__(self, app: ASGIApp, allowed_hosts: Collection[str]) -> None:
        """Put it before an application.

        Args:
            app: what answers.
            allowed_hosts: the names that this service is called by, besides those of loopback; `*.` in front stands for
                every name below one.
        """
        self._app, self._allowed_hosts = app, [host.lower() for host in allowed_hosts]
        self._knows = lru_cache(1_000)(self._is_own)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at a request's head, and let the application have it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":  # as bytes: each answer passes here, most of them small
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _HEADERS if pair[0] not in there)]
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        if refused is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await problem_response(scope["path"], *refused)(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        """Return status and sentence of a refusal, or None."""
        hosts = headers.getlist("host")
        if not all(len(host) <= _MAX_HOST and self._knows(host) for host in hosts):
            found = repr(", ".join(hosts)[:200])
            return 421, f"this service is not called {found}; FITTINGROOM_ALLOWED_HOSTS names what else it is called"
        if method not in _SAFE_METHODS and _is_foreign(headers, hosts):
            page = repr(headers.get("origin", "another site")[:200])
            return 403, f"the page of {page} may change nothing here: only pages of this service may, and programs"
        return None

    def _is_own(self, host: str) -> bool:
        """Return True if the Host is one of this service's names, with any port."""
        name = _name_of(host)
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return any(
            name == allowed or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self._allowed_hosts
        )


def _name_of(host: str) -> str:
    """Return a Host without its port."""
    name = host.strip().lower()
    if name.startswith("["):
        address, bracket, port = name[1:].partition("]")
        return address if bracket and (not port or port.startswith(":")) else ""
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _is_address(name: str) -> bool:
    """Return True if a host is an IP address: probes use addresses, and DNS rebinding cannot."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_foreign(headers: Headers, hosts: Collection[str]) -> bool:
    """Return True if the browser marks the request as cross-origin."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    # Behind a proxy that passes the Host on, the scheme may be another; who has the same name and port is the same.
    scheme, _, own = origin.lower().partition("://")
    # An origin leaves out its scheme's own port, and a Host may name it.
    port = _PORTS.get(scheme, "")
    return own not in {host.strip().lower().removesuffix(port) for host in hosts}
