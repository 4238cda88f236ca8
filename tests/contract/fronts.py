"""What stands before a Prefect server in the field, small: TLS with a CA of one's own, and a forward proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests of the bridge")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "ca.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


@dataclass
class ForwardProxy:
    """A proxy that opens tunnels (CONNECT) for those who bring the credentials; `tunnels` are their targets."""

    credentials: str
    port: int = 0
    tunnels: list[str] = field(default_factory=list)

    def open(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        lines = head.decode("latin-1").split("\r\n")
        token = b64encode(self.credentials.encode()).decode()
        if f"proxy-authorization: basic {token.lower()}" not in [line.lower() for line in lines]:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        target = lines[0].split()[1]
        self.tunnels.append(target)
        host, _, port = target.rpartition(":")
        upstream = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        _join(client, upstream)


@contextmanager
def tls_front(upstream_port: int, certificate: Path, key: Path) -> Iterator[int]:
    """The port on which TLS is spoken for a plain server on `upstream_port`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def serve(client: socket.socket) -> None:
        with suppress(OSError):  # a client that refuses the certificate hangs up
            _join(context.wrap_socket(client, server_side=True), socket.create_connection(("127.0.0.1", upstream_port)))

    with _listening(serve) as port:
        yield port


@contextmanager
def forward_proxy(credentials: str) -> Iterator[ForwardProxy]:
    """A running `ForwardProxy`."""
    proxy = ForwardProxy(credentials)
    with _listening(proxy.open) as proxy.port:
        yield proxy


@contextmanager
def forwarding(port: int, upstream_port: int) -> Iterator[None]:
    """Something listens on `port` and hands everything on: a server that is back."""
    with _listening(lambda client: _join(client, socket.create_connection(("127.0.0.1", upstream_port))), port):
        yield


@dataclass
class Switch:
    """A front on `port` that hands everything on to `upstream_port`, until it is switched off: then nobody answers."""

    upstream_port: int
    port: int = 0
    is_on: bool = True
    _open: list[socket.socket] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        if not self.is_on:
            client.close()
            return
        upstream = socket.create_connection(("127.0.0.1", self.upstream_port))
        self._open += [client, upstream]
        _join(client, upstream)

    def turn_off(self) -> None:
        """Cut every connection, and accept no other."""
        self.is_on = False
        for end in self._open:
            with suppress(OSError):  # it was closed before
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def turn_on(self) -> None:
        self.is_on = True


@contextmanager
def switch(upstream_port: int) -> Iterator[Switch]:
    """A running `Switch`, turned on."""
    front = Switch(upstream_port)
    with _listening(front.serve) as front.port:
        yield front


@contextmanager
def _listening(serve: Callable[[socket.socket], None], port: int = 0) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)


def _join(one: socket.socket, other: socket.socket) -> None:
    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # either side may hang up at any time
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    threading.Thread(target=pump, args=(one, other), daemon=True).start()
    pump(other, one)
