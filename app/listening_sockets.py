"""Listening sockets that several API processes accept connections from."""

import errno
import socket

_BACKLOG = 2_048


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
            if error.errno != errno.EADDRNOTAVAIL:  # `localhost` may have an address that this machine has not
                break
    if refusal is not None and (not opened or refusal.errno != errno.EADDRNOTAVAIL):
        for one in opened:
            one.close()
        raise refusal
    return opened
