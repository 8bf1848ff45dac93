"""An AWS account as the kinds of resources see it: clients, tags, errors, retries."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from ... import events, wait
from ...errors import CloudError, ParameterError, PrerequisiteError, RunbookError, WaitTimeout
from ...params import Params

T = TypeVar("T")

# Seconds between two looks at something that changes by itself. The API allows about 20 calls a second.
INTERVAL = 0.3
# Seconds for which AWS may not yet know everywhere what it has just created.
CONSISTENCY = 30.0
# What a thing answers while something else still holds on to it.
_HELD = ("DependencyViolation", "IncorrectState", "InvalidIPAddress.InUse", "InvalidGroup.InUse", "DeleteConflict")

_REMEDIES: Mapping[str, str] = {
    "AuthFailure": "check the credentials; `aws sts get-caller-identity` should work with them",
    "InvalidClientTokenId": "check the credentials; `aws sts get-caller-identity` should work with them",
    "ExpiredToken": "renew the credentials and run the step again",
    "RequestExpired": "set this machine's clock, or renew the credentials, and run the step again",
    "OptInRequired": "subscribe the account to EC2: sign in to the AWS console with it once, and complete its billing",
    "PendingVerification": "AWS is still verifying the new account: wait for its mail, up to 4 hours, and run again",
    "RequestLimitExceeded": "wait a minute and run the step again; it carries on from here",
    "InsufficientInstanceCapacity": "choose other aws_zones or another aws_instance_type",
    "Unsupported": "choose other aws_zones or another aws_instance_type",
    "DependencyViolation": "remove what still uses it, which the runbook did not make, and run the step again",
    "EntityAlreadyExists": "something of that name exists that is not this deployment's: remove it or rename yours",
    "InvalidKeyPair.Duplicate": "a key pair of that name exists that is not this deployment's: remove it",
}


@dataclass(frozen=True, slots=True)
class Account:
    """Clients and what every call needs to know.

    Args:
        ec2: boto3's EC2 client.
        iam: boto3's IAM client.
        probe: an EC2 client that asks once only, to learn soon whether anything answers.
        params: the deployment.
        client: makes a client of another service, by boto3's name for it.
    """

    ec2: Any
    iam: Any
    probe: Any
    params: Params
    client: Callable[[str], Any]

    @property
    def deployment(self) -> str:
        """The name that everything made here is tagged with."""
        return self.params.deployment

    def tags(self, name: str, extra: Mapping[str, str] | None = None) -> list[dict[str, str]]:
        """The tags of a resource, as the API takes them."""
        wanted = {"Name": name, "Deployment": self.deployment, **(extra or {})}
        return [{"Key": key, "Value": value} for key, value in wanted.items()]

    def tagged(self, kind: str, name: str, extra: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """``TagSpecifications`` of a creation, so that nothing ever exists without its name."""
        return [{"ResourceType": kind, "Tags": self.tags(name, extra)}]

    def ours(self, **states: list[str]) -> list[dict[str, Any]]:
        """``Filters`` that leave this deployment's things; ``state=[...]`` narrows them further."""
        more = [{"Name": name.replace("_", "-"), "Values": values} for name, values in states.items()]
        return [{"Name": "tag:Deployment", "Values": [self.deployment]}, *more]

    def token(self, *parts: object) -> str:
        """A client token that is the same for the same wish, so that asking twice makes one thing."""
        text = json.dumps([self.deployment, *parts], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def until(
        self, look: Callable[[], T], done: Callable[[T], bool], what: str, *, describe: Callable[[T], object] = repr
    ) -> T:
        """Wait for something in AWS, as long as the parameters allow.

        Raises:
            WaitTimeout: with what was last seen.
        """
        return wait.until(
            look,
            done,
            what=what,
            timeout=self.params.timeout,
            interval=INTERVAL,
            describe=describe,
            remedy="run the step again: it carries on from here; a larger timeout waits longer",
        )

    def create(self, call: Callable[..., T], **arguments: Any) -> T:
        """Call, and call again while AWS does not know yet what was created a moment ago."""
        return self._patiently(lambda: call(**arguments), _is_unknown_yet, CONSISTENCY)

    def remove(self, call: Callable[..., object], **arguments: Any) -> None:
        """Call, and call again while something that is going away still holds on; gone already is fine."""

        def once() -> None:
            try:
                call(**arguments)
            except ClientError as error:
                if not is_gone(error):
                    raise

        self._patiently(once, lambda error: code(error) in _HELD, min(self.params.timeout, 120.0))

    def _patiently(self, call: Callable[[], T], passes: Callable[[ClientError], bool], seconds: float) -> T:
        def look() -> T | ClientError:
            try:
                return call()
            except ClientError as error:
                if passes(error):
                    return error
                raise

        last: list[T | ClientError] = []

        def done(answer: T | ClientError) -> bool:
            last[:] = [answer]
            return not isinstance(answer, ClientError)

        try:
            answer = wait.until(look, done, what="AWS", timeout=seconds, interval=INTERVAL)
        except WaitTimeout:
            answer = last[0]
        if isinstance(answer, ClientError):
            raise answer
        return answer


def code(error: ClientError) -> str:
    """AWS's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_gone(error: ClientError) -> bool:
    """Whether an error means that the thing asked for does not exist."""
    return code(error).endswith((".NotFound", "NotFoundException", ".Malformed")) or code(error) in (
        "NoSuchEntity",
        "NatGatewayNotFound",
        "Gateway.NotAttached",
    )


def _is_unknown_yet(error: ClientError) -> bool:
    if code(error) == "InvalidParameterValue":
        return "nstance profile" in str(error) or "iamInstanceProfile" in str(error)
    return (code(error).endswith(".NotFound") and not code(error).startswith("InvalidAMIID")) or (
        code(error) == "NatGatewayNotFound"
    )


def lacking(error: ClientError) -> str:
    """The action that the credentials are not allowed, if that is what an error says; empty if not, or untold."""
    if code(error) not in ("UnauthorizedOperation", "AccessDenied"):
        return ""
    found = re.search(r"not authorized to perform: (\w+:\w+)", str(error))
    return found[1] if found else ""


def remedy(error: ClientError) -> str:
    """What to do about AWS's refusal."""
    if code(error) in ("UnauthorizedOperation", "AccessDenied"):
        what = lacking(error) or "this action"
        return f"allow {what} to the credentials in use; `runbook permissions` prints the whole policy that is needed"
    return _REMEDIES.get(code(error), "mend what the message names and run the step again")


@contextmanager
def errors(resource: str) -> Iterator[None]:
    """Turn botocore's errors into the runbook's.

    Raises:
        PrerequisiteError: there are no credentials, or nothing answers.
        CloudError: AWS refused or failed, with its own code and message.
    """
    try:
        yield
    except RunbookError:
        raise
    except ClientError as error:
        message = error.response.get("Error", {}).get("Message", str(error))
        raise CloudError(
            f"AWS refused {error.operation_name}",
            resource=resource,
            seen=f"{code(error)}: {message}",
            remedy=remedy(error),
        ) from error
    except NoCredentialsError:
        raise PrerequisiteError(
            "there are no AWS credentials",
            resource=resource,
            remedy="name a credentials file in aws_credentials, or configure the SDK (`aws configure`)",
        ) from None
    except BotoCoreError as error:
        raise CloudError(
            "AWS could not be asked",
            resource=resource,
            seen=str(error),
            remedy="check aws_endpoint and the network; in the lab, check that the lab is up (`runbook lab status`)",
        ) from error


def open_account(params: Params) -> Account:
    """Clients for a deployment; no call is made.

    Raises:
        ParameterError: the credentials file does not exist or has no default profile.
    """
    import boto3
    from botocore.config import Config
    from botocore.credentials import SharedCredentialProvider

    options: dict[str, Any] = {}
    if params.aws_credentials:
        # Read here, because the SDK would prefer what the environment happens to hold.
        file = Path(params.aws_credentials).expanduser()
        loaded = SharedCredentialProvider(str(file), profile_name="default").load()
        if loaded is None:
            raise ParameterError(
                "the AWS credentials file cannot be used",
                resource="aws_credentials",
                expected="a shared credentials file with a [default] profile",
                seen=f"{file} {'has none' if file.exists() else 'does not exist'}",
                remedy="correct aws_credentials; in the lab, start the lab, which writes the file (`runbook lab up`)",
            )
        options = {
            "aws_access_key_id": loaded.access_key,
            "aws_secret_access_key": loaded.secret_key,
            "aws_session_token": loaded.token,
        }
        for name in ("aws_secret_access_key", "aws_session_token"):
            if options[name]:
                events.emit(events.SECRET, must_arrive=True, name=name, value=options[name])
    session: Any = boto3.Session(region_name=params.aws_region, **options)
    config = Config(
        retries={"mode": "standard", "total_max_attempts": 6},
        max_pool_connections=32,
        connect_timeout=10,
        read_timeout=60,
        # An endpoint of one's own is reached directly, whatever proxy this machine uses for the internet.
        proxies={} if params.aws_endpoint else None,
    )
    once = config.merge(Config(retries={"total_max_attempts": 1}))

    def client(service: str, config: Config = config) -> Any:
        return session.client(service, endpoint_url=params.aws_endpoint or None, config=config)

    with errors("aws"):
        return Account(client("ec2"), client("iam"), client("ec2", once), params, client)
