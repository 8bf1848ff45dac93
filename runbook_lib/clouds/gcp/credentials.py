"""The operator's Google credentials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import google.auth
from google.auth import credentials
from google.auth.exceptions import DefaultCredentialsError, MalformedError

from ... import events
from ...errors import ParameterError, PrerequisiteError
from ...params import Params

SCOPE = "https://www.googleapis.com/auth/compute"
# What Resource Manager asks for, to tell what somebody may.
READ_ONLY = "https://www.googleapis.com/auth/cloud-platform.read-only"


def load(params: Params, scope: str = SCOPE) -> Any:
    """Credentials from the file that ``gcp_credentials`` names, or application default ones.

    Args:
        params: the deployment.
        scope: what their tokens shall be good for.

    Raises:
        ParameterError: the file is not there, or is none.
        PrerequisiteError: there are no application default credentials.
    """
    found = _from_file(Path(params.gcp_credentials).expanduser(), scope) if params.gcp_credentials else _default(scope)
    return _Aside(found) if params.gcp_endpoint else found


class _Aside(credentials.Credentials):
    """Credentials for an API that is not Google's own.

    Google's classes look an account up at iamcredentials.googleapis.com in the background. An API elsewhere is no
    business of theirs, so here tokens alone are taken from them.
    """

    def __init__(self, source: Any) -> None:
        super().__init__()
        self._source = source

    @property
    def service_account_email(self) -> str:
        """Whose they are; empty for a user's."""
        return str(getattr(self._source, "service_account_email", ""))

    def refresh(self, request: Any) -> None:
        """Get a new token, from where the credentials file says."""
        self._source.refresh(request)
        self.token, self.expiry = self._source.token, self._source.expiry


def _default(scope: str) -> Any:
    try:
        return google.auth.default(scopes=[scope])[0]
    except DefaultCredentialsError as error:
        raise PrerequisiteError(
            "there are no Google credentials",
            resource="gcp_credentials",
            seen=error,
            remedy="gcloud auth application-default login, or name a credentials file in gcp_credentials",
        ) from None


def _from_file(path: Path, scope: str) -> Any:
    try:
        found = google.auth.load_credentials_from_file(str(path), scopes=[scope])[0]
        _tell(json.loads(path.read_text(encoding="utf-8")))
        return found
    except (DefaultCredentialsError, MalformedError, OSError, ValueError) as error:
        there = path.is_file()
        raise ParameterError(
            "the Google credentials file cannot be used" if there else "the Google credentials file does not exist",
            resource="gcp_credentials",
            expected="a credentials file, for example a service account's JSON key",
            # What a malformed file holds stays unsaid; it may be half a key.
            seen=f"{path}: {type(error).__name__}" if there else path,
            remedy="correct gcp_credentials; the lab writes its own when it starts (runbook lab up)",
        ) from None


def _tell(content: Any) -> None:
    """Tell the recorder what is secret in a credentials file."""
    for name in ("private_key", "refresh_token", "client_secret"):
        if value := content.get(name):
            events.emit(events.SECRET, must_arrive=True, name=f"gcp-credentials.{name}", value=value)
