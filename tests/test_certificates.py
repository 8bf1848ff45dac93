"""The deployment's certificate authority, asked by TLS itself."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from runbook_lib import certificates
from runbook_lib.certificates import Authority

NAMES = ("server.us-west-2.consul", "localhost")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("a test")


def public_part(pem: str) -> str:
    return pem[: pem.index("-----BEGIN PRIVATE KEY-----")]


def handshake(authority: Authority, server: str, client: str, name: str, folder: Path) -> str:
    """Two ends that both insist on a certificate; what the client says of it, or nothing if all is well."""
    for file, text in (("ca.pem", authority.certificate), ("server.pem", server), ("client.pem", client)):
        (folder / file).write_text(text)
    here, there = socket.socketpair()
    asking = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    asking.load_cert_chain(folder / "client.pem")
    answering = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    answering.load_cert_chain(folder / "server.pem")
    answering.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        try:
            with answering.wrap_socket(there, server_side=True) as connection:
                connection.sendall(b"x")
        except (ssl.SSLError, OSError):
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(here, server_hostname=name) as connection:
            return "" if connection.recv(1) == b"x" else "closed"
    except (ssl.SSLError, OSError) as error:
        return type(error).__name__
    finally:
        here.close()
        thread.join(10)


def test_agents_of_one_authority_know_each_other_by_name(authority: Authority, tmp_path: Path) -> None:
    server, client = authority.issue(NAMES), authority.issue(("client.us-west-2.consul", "localhost"))
    assert handshake(authority, server, client, NAMES[0], tmp_path) == ""
    assert handshake(authority, client, server, NAMES[0], tmp_path), "a client does not pass for a server"


def test_a_stranger_s_certificate_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.new("a test").issue(NAMES)  # the same names, another key
    assert handshake(authority, authority.issue(NAMES), stranger, NAMES[0], tmp_path)
    assert handshake(authority, stranger, authority.issue(NAMES), NAMES[0], tmp_path)


def test_a_certificate_is_kept_while_it_is_right(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    good = public_part(authority.issue(NAMES))
    assert authority.accepts(good, NAMES)
    assert not authority.accepts(good, ("client.us-west-2.consul", "localhost"))
    assert not authority.accepts(public_part(Authority.new("a test").issue(NAMES)), NAMES)
    assert not authority.accepts("", NAMES)
    assert not authority.accepts("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n", NAMES)
    monkeypatch.setattr(certificates, "AGENT_DAYS", certificates.RENEWAL_DAYS - 1)
    assert not authority.accepts(public_part(authority.issue(NAMES)), NAMES), "it ends within its last month"


def test_an_authority_can_be_kept_as_text(authority: Authority) -> None:
    assert Authority.parse(authority.text) == authority
    assert authority.key not in repr(authority)


def test_the_authority_signs_agents_and_nothing_else(authority: Authority) -> None:
    ours = x509.load_pem_x509_certificate(authority.certificate.encode())
    constraints = ours.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    agent = x509.load_pem_x509_certificate(authority.issue(NAMES).encode())
    assert agent.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert agent.not_valid_after_utc < ours.not_valid_after_utc
    assert agent.not_valid_before_utc < datetime.datetime.now(datetime.UTC)


def test_every_agent_has_a_key_of_its_own(authority: Authority) -> None:
    keys = {authority.issue(NAMES).partition("-----BEGIN PRIVATE KEY-----")[2] for _ in range(3)}
    assert len(keys) == 3
    text = authority.issue(NAMES)
    key = serialization.load_pem_private_key(text[text.index("-----BEGIN PRIVATE") :].encode(), password=None)
    assert key.public_key() == x509.load_pem_x509_certificate(text.encode()).public_key()
