"""An AWS account as the kinds of resources see it: clients, tags, errors, retries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from ... import events, wait
from ...errors import CloudError, ParameterError, PrerequisiteError, RunbookError, WaitTimeout
from ...params import Params
from ..recent import PATIENCE, Patience
from .answers import (
    REFUSALS,
    Refusal,
    code,
    is_busy,
    is_duplicate,
    is_gone,
    is_held,
    is_unknown_yet,
    is_unsure,
    remedy,
)

__all__ = ["Account", "code", "errors", "is_gone", "open_account"]

T = TypeVar("T")

# Seconds between two looks at something that changes by itself: at first, and after minutes. Describing is throttled
# at 20 calls a second beyond the first 100 (EC2 Developer Guide, "Request throttling").
INTERVAL, LONGEST = 0.3, 5.0
ATTEMPTS = 6  # times that a client asks while AWS is busy, or the way to it breaks


@dataclass(frozen=True, slots=True)
class Account:
    """Clients and what every call needs to know.

    Args:
        ec2: boto3's EC2 client.
        iam: boto3's IAM client.
        probe: an EC2 client that asks once only, to learn soon whether anything answers, and whether it was done.
        params: the deployment.
        client: makes a client of another service, by boto3's name for it.
        patience: for how long AWS may disagree with itself.
    """

    ec2: Any
    iam: Any
    probe: Any
    params: Params
    client: Callable[[str], Any]
    patience: Patience = PATIENCE

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
            longest=LONGEST,
            describe=describe,
            remedy="run the step again: it carries on from here; a larger timeout waits longer",
        )

    def create(self, call: Callable[..., T], **arguments: Any) -> T:
        """Call, and call again while AWS does not know yet what was created a moment ago.

        For calls that may be repeated: a client token goes with them, or the same twice is the same as once.
        """
        return self._patiently(lambda: call(**arguments), is_unknown_yet, self.patience.creation)

    def make(self, ask: Callable[[], T], look: Callable[[], T | None]) -> T:
        """Create by a call that has no client token, so that asking twice might make two, or be refused.

        When it stays open whether AWS has acted, or something of that name exists, look for what is ours before
        asking again, for as long as lists may lag.

        Args:
            ask: makes it; by ``probe`` where AWS would make two, as the other clients repeat calls by themselves.
            look: finds it.
        """

        def attempt() -> T:
            try:
                return ask()
            except REFUSALS as error:
                there = self._appears(look) if is_unsure(error) or is_duplicate(error) else None
                if there is None:
                    raise
                return there

        return self._patiently(
            attempt,
            lambda error: is_unsure(error) or is_busy(error) or is_unknown_yet(error),
            self.patience.creation,
        )

    def remove(self, call: Callable[..., object], **arguments: Any) -> None:
        """Call, and call again while something that is going away still holds on; gone already is fine."""

        def once() -> None:
            try:
                call(**arguments)
            except ClientError as error:
                if not is_gone(error):
                    raise

        self._patiently(once, is_held, min(self.params.timeout, 120.0))

    def _appears(self, look: Callable[[], T | None]) -> T | None:
        try:
            return wait.until(
                look,
                lambda seen: seen is not None,
                what="AWS to list what may have been made",
                timeout=self.patience.lists,
                interval=INTERVAL,
                longest=LONGEST,
            )
        except WaitTimeout:
            return None

    def _patiently(self, call: Callable[[], T], passes: Callable[[Refusal], bool], seconds: float) -> T:
        def look() -> T | Refusal:
            try:
                return call()
            except REFUSALS as error:
                if passes(error):
                    return error
                raise

        last: list[T | Refusal] = []

        def done(answer: T | Refusal) -> bool:
            last[:] = [answer]
            return not isinstance(answer, REFUSALS)

        try:
            answer = wait.until(look, done, what="AWS", timeout=seconds, interval=INTERVAL, longest=LONGEST)
        except WaitTimeout:
            answer = last[0]
        if isinstance(answer, REFUSALS):
            raise answer
        return answer


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


def open_account(params: Params, patience: Patience = PATIENCE) -> Account:
    """Clients for a deployment; no call is made.

    Raises:
        ParameterError: the credentials file does not exist or has no default profile.
    """
    client = clients(params)
    with errors("aws"):
        return Account(client("ec2"), client("iam"), client("ec2", attempts=1), params, client, patience)


class Clients(Protocol):
    """Makes boto3's clients."""

    def __call__(self, service: str, attempts: int = ATTEMPTS) -> Any:
        """A client by boto3's name of the service, which asks so many times at most."""


def clients(params: Params) -> Clients:
    """What makes clients on the account and endpoint that the parameters name; none is made yet.

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

    def client(service: str, attempts: int = ATTEMPTS) -> Any:
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=32,
            connect_timeout=10,
            read_timeout=60,
            # An endpoint of one's own is reached directly, whatever proxy this machine uses for the internet.
            proxies={} if params.aws_endpoint else None,
        )
        return session.client(service, endpoint_url=params.aws_endpoint or None, config=config)

    return client
