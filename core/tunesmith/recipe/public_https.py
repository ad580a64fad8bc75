"""Reads small files of the internet over https, and nothing of this machine or of the networks around it."""

import http.client
import ipaddress
import socket
import ssl
import time
from urllib.parse import SplitResult, urljoin, urlsplit

from tunesmith.errors import RecipeError

_MOVED = {301, 302, 303, 307, 308}
_MOST_MOVES = 5
_PATIENCE, _DEADLINE = 10.0, 30.0
_CHUNK = 2**16


def read(address: str, most: int) -> bytes:
    """What lies at an address, or where that leads; of a larger file a little more than `most` bytes.

    Raises:
        RecipeError: It cannot be read, is no https or leads to what is none, or is not on the internet.
    """
    deadline = time.monotonic() + _DEADLINE
    here = address
    for _ in range(_MOST_MOVES + 1):
        try:
            parts = urlsplit(here)
            if parts.scheme != "https" or parts.username is not None:
                msg = f"{address} leads to {here}; only https:// without a name in it is read"
                raise RecipeError(msg)
            moved, content = _ask(parts, most, deadline)
            if moved is None:
                return content
            here = urljoin(here, moved)
        except (OSError, http.client.HTTPException, ValueError) as error:
            msg = f"{address} cannot be read: {error or type(error).__name__}"
            raise RecipeError(msg) from error
    msg = f"{address} leads on more than {_MOST_MOVES} times"
    raise RecipeError(msg)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, not of this machine, a private network or a group."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        # addresses of the old kind in the clothes of the new one
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def secured(plain: socket.socket, host: str) -> socket.socket:
    """The socket under TLS, with the certificate checked."""
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


class _Connection(http.client.HTTPSConnection):
    """Connects to the address that was looked up, if it is public."""

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        places = [(family, place) for family, _, _, _, place in found]
        closed = next((place[0] for _, place in places if not is_public(str(place[0]))), None)
        if closed is not None:
            msg = f"{self.host} is {closed}: on this machine or in a private network, where no recipe is read"
            raise RecipeError(msg)
        failed: OSError | None = None
        for family, place in places:
            plain = socket.socket(family, socket.SOCK_STREAM)
            plain.settimeout(self.timeout)
            try:
                plain.connect(place)
                self.sock = secured(plain, self.host)
            except OSError as error:
                plain.close()
                failed = error
            else:
                return
        raise failed or OSError("no address")


def _ask(parts: SplitResult, most: int, deadline: float) -> tuple[str | None, bytes]:
    """Where an address leads, or what lies there."""
    connection = _Connection(parts.hostname or "", parts.port, timeout=_PATIENCE)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept-Encoding": "identity", "User-Agent": "tunesmith"})
        with connection.getresponse() as answer:
            if answer.status in _MOVED and (moved := answer.getheader("Location")):
                return moved, b""
            if answer.status != http.HTTPStatus.OK:
                msg = f"the answer is {answer.status} {answer.reason}"
                raise OSError(msg)
            content = b""
            while chunk := answer.read1(_CHUNK):
                content += chunk
                if len(content) > most:
                    return None, content
                if time.monotonic() > deadline:
                    msg = f"it takes longer than {_DEADLINE:.0f} seconds"
                    raise OSError(msg)
            return None, content
    finally:
        connection.close()
