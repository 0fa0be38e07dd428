"""Calls of webhooks' receivers: never into a private network, and no longer than some seconds.

A name is resolved once, every address must be public, and the connection goes to the resolved address, so that a
later change of the name has no effect (DNS rebinding).
"""

import socket
import threading
from urllib.parse import urlsplit

import httpx

from app.services.webhooks.public_addresses import is_public

ANSWER_SECONDS = 10.0
"""Timeout of each read of an answer, in seconds."""
DELIVERY_SECONDS = 20.0
"""Total timeout of a delivery, in seconds, shorter than its claim. Bounds receivers that answer byte by byte."""


class RefusedAddressError(Exception):
    """The address must not be called."""


def post(url: str, body: bytes, headers: dict[str, str], *, allow_private: bool) -> int:
    """Send a POST to one address of a host; redirects are not followed, and the answer's body is not read.

    Returns:
        The status of the answer.

    Raises:
        RefusedAddressError: the address must not be called.
        httpx.HTTPError: there was no answer.
        OSError: the name is not known.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    if parts.scheme != "https" and not allow_private:
        raise RefusedAddressError("refused: only https is called (FITTINGROOM_ALLOW_PRIVATE_WEBHOOKS)")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not allow_private and not all(map(is_public, found)):
        raise RefusedAddressError("refused: the address is in a private network (FITTINGROOM_ALLOW_PRIVATE_WEBHOOKS)")
    address = f"[{found[0]}]" if ":" in found[0] else found[0]
    target = parts._replace(netloc=f"{address}:{port}", fragment="").geturl()
    named = f"[{host}]" if ":" in host else host
    shown = named if port in {80, 443} else f"{named}:{port}"
    # trust_env: a proxy of the environment would look the name up once more.
    with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
        request = client.build_request(
            "POST", target, content=body, headers={**headers, "Host": shown}, extensions={"sni_hostname": host}
        )
        timer = threading.Timer(DELIVERY_SECONDS, client.close)
        timer.start()
        try:
            answer = client.send(request, stream=True)
            answer.close()
        except RuntimeError as error:  # httpx's word for a client that was closed meanwhile
            raise httpx.ReadTimeout(str(error)) from None
        finally:
            timer.cancel()
        return answer.status_code
