"""Members of the emulated accounts who may do less than the operator: made through the clouds' own IAM APIs.

That is what an administrator does in the real accounts, so that what works here works there: a user with a policy and
a key in AWS; a service account with a custom role and a key in GCP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from .errors import LabError
from .host import DEFAULTS, Lab

NAME = "restricted"
_POLICY = "given"
_CLOUD = "https://www.googleapis.com/auth/cloud-platform"


def write(lab: Lab, policy: Path | None, role: Path | None, folder: Path) -> list[str]:
    """Give the restricted members of a lab's accounts what files say, and write their credentials.

    Args:
        lab: which is up.
        policy: an IAM policy, JSON; without one there is no AWS user.
        role: a GCP custom role, YAML; without one there is no service account.
        folder: where to write; made if need be.

    Returns:
        the lines of a parameter file that lead to what was written.

    Raises:
        LabError: a file is none, or a cloud refuses what it says.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    home, lines = Path(lab.home), []
    if policy:
        user = Aws(lab.aws_endpoint, home / "aws-credentials", DEFAULTS["aws_region"])
        lines.append(_keep("aws_credentials", folder / "aws-credentials", user.credentials()))
        user.allow(policy.read_text(encoding="utf-8"))
    if role:
        content = yaml.safe_load(role.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or "includedPermissions" not in content:
            raise LabError(f"{role} is no custom role", remedy="`runbook permissions --format role` prints one")
        account = Gcp(lab.gcp_endpoint, home / "gcp-credentials.json")
        lines.append(_keep("gcp_credentials", folder / "gcp-credentials.json", account.credentials()))
        account.allow(content["includedPermissions"])
    return lines


def _keep(parameter: str, file: Path, secret: str) -> str:
    file.unlink(missing_ok=True)  # one that is there may be open to others
    file.touch(mode=0o600)
    file.write_text(secret, encoding="utf-8")
    return f"{parameter}: {file.absolute()}"


class Aws:
    """The restricted user of an emulated AWS account.

    Args:
        endpoint: the account's API.
        operator: shared credentials file of somebody who may administer IAM.
        region: any that the account knows.
    """

    def __init__(self, endpoint: str, operator: Path, region: str) -> None:
        import boto3
        from botocore.credentials import SharedCredentialProvider

        found = SharedCredentialProvider(str(operator), profile_name="default").load()
        if found is None:
            raise LabError(f"{operator} has no credentials", remedy="start the lab, which writes them: runbook lab up")
        session: Any = boto3.Session(found.access_key, found.secret_key, region_name=region)
        self._iam = session.client("iam", endpoint_url=endpoint)

    def credentials(self) -> str:
        """A shared credentials file of the user, who is made if need be; keys handed out before end. A secret."""
        try:
            self._iam.create_user(UserName=NAME)
        except self._iam.exceptions.EntityAlreadyExistsException:
            for key in self._iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"]:
                self._iam.delete_access_key(UserName=NAME, AccessKeyId=key["AccessKeyId"])
        key = self._iam.create_access_key(UserName=NAME)["AccessKey"]
        lines = ("[default]", *(f"aws_{n} = {key[w]}" for n, w in _KEY_FIELDS.items()))
        return "\n".join(lines) + "\n"

    def allow(self, policy: str) -> None:
        """Let the user do what a policy (JSON) says, and nothing else.

        Raises:
            LabError: AWS would not take the policy.
        """
        from botocore.exceptions import ClientError

        try:
            self._iam.put_user_policy(UserName=NAME, PolicyName=_POLICY, PolicyDocument=policy)
        except ClientError as error:
            raise LabError(
                f"the policy is refused: {error}", remedy="`runbook permissions --format policy` prints a good one"
            ) from None


_KEY_FIELDS = {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey"}


class Gcp:
    """The restricted service account of an emulated project.

    Args:
        endpoint: the project's API.
        operator: key file of somebody who may administer IAM.
    """

    def __init__(self, endpoint: str, operator: Path) -> None:
        import requests
        from google.auth.transport.requests import Request
        from google.oauth2.service_account import Credentials

        content = json.loads(operator.read_text(encoding="utf-8"))
        credentials: Any = Credentials.from_service_account_info(content, scopes=[_CLOUD])
        # Google's own session would look the account up at googleapis.com; a token is all that is wanted.
        credentials.refresh(Request())
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {credentials.token}"
        self._project = f"{endpoint}/v1/projects/{content['project_id']}"
        self._role = f"projects/{content['project_id']}/roles/{NAME}"
        self._email = f"{NAME}@{content['project_id']}.iam.gserviceaccount.com"

    def credentials(self) -> str:
        """A key file of the account, which is made if need be. A secret."""
        self._ask("POST", "/serviceAccounts", {"accountId": NAME}, known=True)
        key = self._ask("POST", f"/serviceAccounts/{self._email}/keys", {})
        return base64.b64decode(key["privateKeyData"]).decode()

    def allow(self, permissions: Iterable[str]) -> None:
        """Give the account a role of some permissions, and no other.

        Raises:
            LabError: GCP would not take the role.
        """
        role = {"title": NAME, "includedPermissions": list(permissions)}
        if not self._ask("POST", "/roles", {"roleId": NAME, "role": role}, known=True):
            self._ask("PATCH", f"/roles/{NAME}", role)
        policy = self._ask("POST", ":getIamPolicy", {})
        binding = {"role": self._role, "members": [f"serviceAccount:{self._email}"]}
        if binding not in policy["bindings"]:
            policy["bindings"].append(binding)
            self._ask("POST", ":setIamPolicy", {"policy": policy})

    def _ask(self, method: str, path: str, body: dict[str, Any], *, known: bool = False) -> dict[str, Any]:
        """The answer to a request; nothing, if what is to be made is there already and ``known`` says that it may."""
        answer = self._session.request(method, self._project + path, json=body)
        if known and answer.status_code == 409:
            return {}
        if answer.status_code != 200:
            message = answer.json()["error"]["message"]
            good = "`runbook permissions --format role` prints a good role" if path.startswith("/roles") else ""
            raise LabError(f"{method} {path} is refused: {message}", remedy=good or "look into the lab's log")
        return dict(answer.json())
