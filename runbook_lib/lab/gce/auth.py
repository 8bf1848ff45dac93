"""Who calls, and with which scopes: service account keys, access tokens and what they allow."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import insufficient_scopes, unauthenticated

_AUTH = "https://www.googleapis.com/auth/"
_WRITE = frozenset({f"{_AUTH}compute", f"{_AUTH}cloud-platform"})
_READ = _WRITE | {f"{_AUTH}compute.readonly", f"{_AUTH}cloud-platform.read-only"}
_PLATFORM = frozenset({f"{_AUTH}cloud-platform", f"{_AUTH}cloud-platform.read-only"})
LIFETIME = 3600  # seconds that a token is good for, as Google's
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a token speaks for.

    Args:
        email: the service account.
        scopes: what the token may be used for.
        expires: Unix seconds.
    """

    email: str
    scopes: frozenset[str]
    expires: float


class GrantError(Exception):
    """A token request that is refused; OAuth's words for it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.document = {"error": error, "error_description": description}


class _Key(NamedTuple):
    """A service account's key."""

    id: str
    private: str
    public: str


class Auth:
    """The keys of the project's service accounts, and every token handed out. Safe to use from any thread.

    Args:
        project: project id, of which the operator's account is a member.
    """

    def __init__(self, project: str) -> None:
        self._project = project
        self.operator = f"runbook@{project}.iam.gserviceaccount.com"
        self._lock = threading.Lock()
        self._tokens: dict[str, Caller] = {}
        self._keys: dict[str, _Key] = {}

    def prepare(self) -> None:
        """Load what checks signatures, and make the operator's key."""
        import google.auth.jwt  # noqa: F401 - the import is the work

        self._key(self.operator)

    def credentials(self, token_uri: str, email: str = "") -> dict[str, str]:
        """A service account's key file (``service_account`` JSON), by default the operator's; secret."""
        email = email or self.operator
        key = self._key(email)
        return {
            "type": "service_account",
            "project_id": self._project,
            "private_key_id": key.id,
            "private_key": key.private,
            "client_email": email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def _key(self, email: str) -> _Key:
        """An account's key, made at first need."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        with self._lock:
            if email not in self._keys:
                key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
                private = key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
                public = key.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                self._keys[email] = _Key(secrets.token_hex(20), private.decode(), public.decode())
            return self._keys[email]

    def issue(self, email: str, scopes: Iterable[str]) -> dict[str, Any]:
        """A new access token, as the token endpoint and the metadata server answer it."""
        token = f"ya29.{secrets.token_urlsafe(48)}"
        now = time.time()
        with self._lock:
            self._tokens = {text: caller for text, caller in self._tokens.items() if caller.expires > now}
            self._tokens[token] = Caller(email, frozenset(scopes), now + LIFETIME)
        return {"access_token": token, "expires_in": LIFETIME - 1, "token_type": "Bearer"}

    def grant(self, form: dict[str, str]) -> dict[str, Any]:
        """Exchange an assertion signed with a service account's key for an access token.

        Raises:
            GrantError: another kind of grant, or an assertion that does not hold.
        """
        if form.get("grant_type") != _GRANT:
            raise GrantError("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        claims = self._claims(form.get("assertion", ""))
        if claims is None:
            raise GrantError("invalid_grant", "Invalid JWT Signature.")
        scopes = str(claims.get("scope", "")).split()
        if not scopes:
            raise GrantError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return self.issue(claims["iss"], scopes)

    def _claims(self, token: str) -> dict[str, Any] | None:
        """What a token signed by one of the accounts says; ``None`` if it was not, or not for now."""
        from google.auth import jwt
        from google.auth.exceptions import GoogleAuthError

        try:
            said = str(jwt.decode(token, verify=False).get("iss"))
            with self._lock:
                key = self._keys.get(said)
            return dict(jwt.decode(token, certs=key.public)) if key else None
        except (ValueError, GoogleAuthError):
            return None

    def caller(self, header: str, *, write: bool, method: str, platform: bool = False) -> Caller:
        """Who sent a request.

        Besides the tokens handed out, the accounts' self-signed ones are taken, as Google's APIs do: clients
        make these to save a call.

        Args:
            header: the ``Authorization`` header, or empty.
            write: the request changes something.
            method: the API method's full name, for the message.
            platform: the method is not Compute's, so that Compute's own scopes do not do.

        Raises:
            ApiError: nobody known (401), or a token without a scope for this (403).
        """
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            raise unauthenticated(given=bool(header))
        token = token.strip()
        with self._lock:
            caller = self._tokens.get(token)
        if caller is None and token.count(".") == 2 and (claims := self._claims(token)):
            # Signed for an audience instead of scopes, it is good for all of that service.
            for_compute = "scope" not in claims and "compute.googleapis.com" in json.dumps(claims.get("aud", ""))
            scopes = _WRITE if for_compute else frozenset(str(claims.get("scope", "")).split())
            caller = Caller(claims["iss"], scopes, float(claims["exp"]))
        if caller is None or caller.expires <= time.time():
            raise unauthenticated(given=True)
        wanted = _WRITE if write else _READ
        if not caller.scopes & (wanted & _PLATFORM if platform else wanted):
            raise insufficient_scopes(method)
        return caller
