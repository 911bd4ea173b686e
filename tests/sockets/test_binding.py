"""What an address to listen on stands for."""

import socket

import pytest

from gollamas.config.model import Address
from gollamas.system.listening import NotListening, bind, is_loopback

needs_ipv6 = pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")


def reached(sockets: list[socket.socket], host: str) -> bool:
    """Whether a client of this address gets a connection."""
    try:
        with socket.create_connection((host, sockets[0].getsockname()[1]), 2):
            return True
    except OSError:
        return False


def closed(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


@needs_ipv6
def test_the_unspecified_ipv6_address_takes_ipv4_too() -> None:
    sockets = bind(Address(host="::", port=0))
    try:
        assert reached(sockets, "127.0.0.1")
        assert not is_loopback(sockets)
    finally:
        closed(sockets)


def test_no_host_means_every_address() -> None:
    sockets = bind(Address(host="", port=0))
    try:
        assert reached(sockets, "127.0.0.1")
        assert not is_loopback(sockets)
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        closed(sockets)


def test_localhost_is_loopback_only() -> None:
    sockets = bind(Address(host="localhost", port=0))
    try:
        assert reached(sockets, "127.0.0.1")
        assert is_loopback(sockets)
    finally:
        closed(sockets)


def test_a_taken_port_is_told_and_leaves_no_socket_open() -> None:
    first = bind(Address(host="127.0.0.1", port=0))
    port = first[0].getsockname()[1]
    try:
        with pytest.raises(NotListening, match=f"127.0.0.1:{port} is taken"):
            bind(Address(host="127.0.0.1", port=port))
    finally:
        closed(first)
    closed(bind(Address(host="127.0.0.1", port=port)))
