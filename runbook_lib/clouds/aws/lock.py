"""The lock of a deployment, as a key pair of the deployment's name.

Of what the runbook may use anyway, key pairs alone have all that a lock needs: two imports of one name are refused to
the second, each has an id of its own by which it is removed, so that nobody removes a successor's, and they carry tags.
Objects in S3 or rows of DynamoDB would do as well, and need a service and permissions more. It opens nothing: no
instance is started with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import ClientError

from ..base import Posted
from .account import Account, code, errors, is_gone
from .kind import tags_of


def lock_name(deployment: str) -> str:
    """The name of the key pair that is a deployment's lock."""
    return f"{deployment}-lock"


class KeyPairLock:
    """``clouds.base.Lock`` in the account and region of a deployment.

    Args:
        account: clients and parameters.
    """

    def __init__(self, account: Account) -> None:
        self.name = lock_name(account.deployment)
        self._account = account

    def look(self) -> Posted | None:
        """See ``Lock.look``."""
        named = [{"Name": "key-name", "Values": [self.name]}]
        with errors(f"aws:key_pair:{self.name}"):
            pairs = self._account.ec2.describe_key_pairs(Filters=named)["KeyPairs"]
        return Posted(pairs[0]["KeyPairId"], tags_of(pairs[0])) if pairs else None

    def post(self, public_key: str, facts: Mapping[str, str]) -> str | None:
        """See ``Lock.post``."""
        with errors(f"aws:key_pair:{self.name}"):
            try:
                answer = self._account.ec2.import_key_pair(
                    KeyName=self.name,
                    PublicKeyMaterial=public_key.encode(),
                    TagSpecifications=[{"ResourceType": "key-pair", "Tags": self._account.tags(self.name, facts)}],
                )
            except ClientError as error:
                if code(error) == "InvalidKeyPair.Duplicate":
                    return None
                raise
        return str(answer["KeyPairId"])

    def renew(self, id: str, facts: Mapping[str, str]) -> bool:
        """See ``Lock.renew``."""
        with errors(f"aws:key_pair:{self.name}"):
            try:
                self._account.probe.create_tags(Resources=[id], Tags=self._account.tags(self.name, facts))
            except ClientError as error:
                if is_gone(error):
                    return False
                raise
        return True

    def remove(self, id: str) -> None:
        """See ``Lock.remove``."""
        with errors(f"aws:key_pair:{self.name}"):
            self._account.remove(self._account.ec2.delete_key_pair, KeyPairId=id)
