"""Listening sockets that several API processes accept connections from."""

import errno
import socket

_BACKLOG = 2_048
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
"""Errors of an address that this machine has not: `localhost` may have one of IPv6 where the kernel knows none."""


def open_listening_sockets(host: str, port: int) -> list[socket.socket]:
    """Listen on every address of a host.

    Raises:
        OSError: the host is unknown, or the port is taken.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    refusal: OSError | None = None
    for address, family in {address: family for family, _, _, _, address in found}.items():
        try:
            opened.append(socket.create_server(address, family=family, backlog=_BACKLOG))
        except OSError as error:
            refusal = error
            if error.errno not in _NOT_HERE:
                break
    if refusal is not None and (not opened or refusal.errno not in _NOT_HERE):
        for one in opened:
            one.close()
        raise refusal
    return opened
