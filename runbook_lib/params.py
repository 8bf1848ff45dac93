"""Parameter files and notebook values, turned into one frozen, checked record."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from . import events, references, releases
from .errors import ParameterError
from .notebook_names import meant
from .refusals import explain

# A value that others are looked up by, or that loosens a rule, is written out.
_NO_REFERENCE = frozenset({"deployment", "secret_store"})
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_ZONES = Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=6)]


class Params(BaseModel):
    """All parameters of a deployment; the defaults are the lab's.

    One flat list, because papermill sets parameters by name. The same names stand in ``params/*.yaml``
    and in each notebook's ``parameters`` cell. A text may be a reference to a secret, see ``references``; here it is
    what the reference leads to, and ``recorded`` gives the reference back.
    """

    _references: dict[str, str] = PrivateAttr(default_factory=dict)

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: StrictStr = Field("demo", description="name of the deployment; prefixes every resource")
    domain: StrictStr = Field("exemple.com", description="domain under which services are published")
    test: StrictBool = Field(True, description="create the test web servers in step 04")

    security: Literal["hardened", "article"] = Field(
        "hardened", description="hardened, or the article's plain set-up for comparison"
    )
    security_override: StrictBool = Field(False, description="let security: article onto the real clouds")
    secret_store: StrictStr = Field(
        "files", description="where secrets are kept: a runbook_lib.secret_stores entry point"
    )
    approval: Literal["none", "required"] = Field(
        "none", description="whether plans need somebody's yes: none or required"
    )

    consul_servers: StrictInt = Field(3, ge=1, le=7, description="Consul servers a cloud, an odd number")
    traefiks: StrictInt = Field(2, ge=1, le=8, description="Traefik load balancers a cloud")
    web_servers: StrictInt = Field(2, ge=1, le=16, description="test web servers a cloud")

    aws_region: StrictStr = Field("us-west-2", description="AWS region, also the Consul datacenter")
    aws_zones: _ZONES = Field(
        ("us-west-2a", "us-west-2b", "us-west-2c"), description="AWS availability zones, used in turn"
    )
    aws_network: StrictStr = Field("172.30.3.0/24", description="address range of the VPC, split in eighths")
    aws_asn: StrictInt = Field(64512, description="BGP number of the AWS end of the VPN")
    aws_instance_type: StrictStr = Field("t3.small", description="EC2 instance type")
    aws_image: StrictStr = Field(
        "debian-12-amd64-*", description="AMI name pattern, the newest is used, or ssm:PARAMETER"
    )
    aws_image_owner: StrictStr = Field("136693071363", description="account that publishes the AMI")
    aws_endpoint: StrictStr = Field("http://127.0.0.1:4560", description="EC2/IAM endpoint; empty for AWS itself")
    aws_credentials: StrictStr = Field(
        "~/.cache/runbook/labs/lab/aws-credentials",
        description="shared credentials file; empty: the SDK's chain",
    )

    gcp_project: StrictStr = Field("runbook-lab", description="Google Cloud project")
    gcp_region: StrictStr = Field("europe-west1", description="GCP region, also the Consul datacenter")
    gcp_zones: _ZONES = Field(
        ("europe-west1-b", "europe-west1-c", "europe-west1-d"), description="GCP zones, used in turn"
    )
    gcp_public_subnet: StrictStr = Field("172.27.3.0/26", description="range of the public subnet")
    gcp_private_subnet: StrictStr = Field("172.27.3.128/26", description="range of the private subnet")
    gcp_asn: StrictInt = Field(65273, description="BGP number of the GCP end of the VPN")
    gcp_machine_type: StrictStr = Field("e2-small", description="GCE machine type")
    gcp_image: StrictStr = Field(
        "projects/debian-cloud/global/images/family/debian-12", description="image or image family"
    )
    gcp_endpoint: StrictStr = Field("http://127.0.0.1:4561", description="Compute endpoint; empty for GCP itself")
    gcp_credentials: StrictStr = Field(
        "~/.cache/runbook/labs/lab/gcp-credentials.json",
        description="credentials file; empty: the SDK's chain",
    )

    internet_proxy: StrictStr = Field(
        "socks5h://127.0.0.1:4562", description="proxy towards public addresses; empty for a direct way"
    )
    ssh_user: StrictStr = Field("root", description="account that the image lets the SSH key into")
    keys: StrictStr = Field("~/.cache/runbook/keys", description="folder of the operator's SSH keys")
    network_state: StrictStr = Field(
        "", description="terraform.tfstate of an existing network layer; empty to create one"
    )

    consul_version: StrictStr = Field(
        "1.8.7", description="Consul release that instances install unless their image has it"
    )
    consul_sha256: StrictStr = Field(
        "none", description="SHA-256 of its archive; empty: the pinned one; none: the image brings Consul"
    )
    consul_raft_multiplier: StrictInt = Field(
        1, ge=1, le=10, description="Raft timing; 1 is fastest, 5 is Consul's default"
    )
    consul_retry_interval: StrictInt = Field(
        1, ge=1, le=60, description="seconds between attempts to join; Consul's default is 30"
    )
    traefik_version: StrictStr = Field(
        "3.7.15", description="Traefik release that instances install unless their image has it"
    )
    traefik_sha256: StrictStr = Field(
        "none", description="SHA-256 of its archive; empty: the pinned one; none: the image brings Traefik"
    )
    release_mirror: StrictStr = Field(
        "", description="URL of a mirror that archives are fetched from; empty: their publishers"
    )
    timeout: StrictInt = Field(600, ge=1, description="seconds to wait for anything before giving up")

    # ---- reading -----------------------------------------------------------------------------------------

    @classmethod
    def of(cls, names: Mapping[str, Any]) -> Params:
        """The parameters among a notebook's global names: ``Params.of(globals())``.

        Called first before any other variable is set, so that a misspelt parameter is told from a variable; see
        ``notebook_names`` for later calls.

        Raises:
            ParameterError: an unknown name or an unacceptable value.
        """
        given = meant(names, cls.model_fields)
        return cls.parse({k: v for k, v in given.items() if _is_parameter(k, v)}, source="notebook")

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, source: str) -> Params:
        """Check values from one source.

        Raises:
            ParameterError: naming the field, what was seen, what was expected and what to do.
        """
        for name in values:
            if name not in cls.model_fields:
                raise unknown_parameter(str(name), source)
        led = {n: v for n, v in values.items() if _may_refer(n) and references.is_reference(v)}
        found = cls._resolve(values, led, source)
        # Told before anything is made of them, so that no message can carry them into a record.
        for name, value in found.items():
            events.emit(events.SECRET, must_arrive=True, name=name, value=value)
        try:
            made = cls(**{**values, **found})
        except ValidationError as error:
            problem = explain(error, source, led, found)
        else:
            made._references.update(led)
            return made
        raise problem  # outside of the handler: the original, which quotes values, is not kept with it

    @classmethod
    def _resolve(cls, values: Mapping[str, Any], led: Mapping[str, str], source: str) -> dict[str, str]:
        def secret(name: str) -> str | None:
            # The stores are made from parameters and import this module, so it imports them late.
            from .secret_store import open_store

            plain = {n: v for n, v in values.items() if not str(led.get(n, "")).startswith("secret:")}
            return open_store(cls.parse(plain, source=source)).get(name)

        return {name: references.resolve(name, reference, secret) for name, reference in led.items()}

    @classmethod
    def load(cls, *files: Path, overrides: Mapping[str, Any] | None = None) -> Params:
        """Read parameter files in order, then single values; later ones win.

        Raises:
            ParameterError: a file that is missing or not a mapping, an unknown name, a bad value.
        """
        values: dict[str, Any] = {}
        for file in files:
            values |= read_file(file)
        values |= overrides or {}
        return cls.parse(values, source=", ".join([*map(str, files), *(["command line"] if overrides else [])]))

    # ---- what of it may be kept ------------------------------------------------------------------------------

    def recorded(self) -> dict[str, Any]:
        """Every parameter as JSON, for a record: references are kept, what they lead to is not in it."""
        return {**self.model_dump(mode="json"), **self._references}

    def secrets(self) -> dict[str, str]:
        """What the references lead to, by the parameter's name."""
        return {name: getattr(self, name) for name in self._references}

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, self._references.get(name or "", value)

    # ---- rules -------------------------------------------------------------------------------------------

    @field_validator("deployment")
    @classmethod
    def _deployment(cls, value: str) -> str:
        if value.endswith("-consul"):
            # `demo` has a security group demo-consul-traefik; `demo-consul` would have another one of that name.
            raise ValueError("a name that does not end in -consul, as another deployment's names could be the same")
        return _match(value, r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?", "1 to 20 of a-z, 0-9 and '-', starting with a letter")

    @field_validator("domain")
    @classmethod
    def _domain(cls, value: str) -> str:
        return _match(value, rf"({_LABEL}\.)+[a-z]{{2,63}}", "a domain name such as exemple.com")

    @field_validator("gcp_project")
    @classmethod
    def _project(cls, value: str) -> str:
        return _match(value, r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "a project ID: 6 to 30 of a-z, 0-9 and '-'")

    @field_validator("consul_servers")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("an odd number: an even one adds a server and no tolerance for losing one")
        return value

    @field_validator("consul_version", "traefik_version")
    @classmethod
    def _version(cls, value: str) -> str:
        return _match(value, r"\d+\.\d+\.\d+", "a release such as 1.8.7")

    @field_validator("consul_sha256", "traefik_sha256")
    @classmethod
    def _checksum(cls, value: str) -> str:
        return value and _match(value, releases.CHECKSUMS, "64 hexadecimal digits (or several such), none, or empty")

    @field_validator("release_mirror")
    @classmethod
    def _mirror(cls, value: str) -> str:
        return value and _match(value, r"https://[\w.-]+(:\d+)?(/[\w.~-]+)*", "empty, or https://HOST[:PORT][/PATH]")

    @field_validator("aws_image")
    @classmethod
    def _image(cls, value: str) -> str:
        return _match(value, r"ssm:/[a-zA-Z0-9_./-]+|(?!ssm:).+", "a name or pattern of names, or ssm:/PARAMETER")

    @field_validator("aws_asn", "gcp_asn")
    @classmethod
    def _private_asn(cls, value: int) -> int:
        if not (64512 <= value <= 65534 or 4_200_000_000 <= value <= 4_294_967_294):
            raise ValueError("a private AS number: 64512-65534 or 4200000000-4294967294 (RFC 6996)")
        return value

    @field_validator("aws_network", "gcp_public_subnet", "gcp_private_subnet")
    @classmethod
    def _network(cls, value: str, info: Any) -> str:
        try:
            network = IPv4Network(value)
        except ValueError as error:
            raise ValueError(f"an IPv4 network such as 172.30.3.0/24 ({error})") from None
        if not network.is_private:
            raise ValueError("a private range (RFC 1918)")
        # An AWS subnet is an eighth of its network and at least a /28; a GCP subnet is at least a /29.
        longest = 25 if info.field_name == "aws_network" else 29
        if network.prefixlen > longest:
            raise ValueError(f"a network of at least /{longest}")
        if info.field_name == "aws_network" and network.prefixlen < 16:
            raise ValueError("a network of at most /16, as a VPC allows")
        return value

    @field_validator("aws_endpoint", "gcp_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        return value and _match(value, r"https?://[^/\s]+", "empty, or http(s)://HOST[:PORT]")

    @field_validator("internet_proxy")
    @classmethod
    def _proxy(cls, value: str) -> str:
        return value and _match(value, r"socks5h?://[^/\s:]+:\d+", "empty, or socks5h://HOST:PORT")

    @model_validator(mode="after")
    def _together(self) -> Params:
        if self.security == "article" and not self.security_override:
            for endpoint in ("aws_endpoint", "gcp_endpoint"):
                # Without an endpoint of its own, a client speaks to the cloud itself.
                if not getattr(self, endpoint):
                    raise ValueError(
                        "security: hardened on the real clouds, as the article's set-up has neither encryption nor"
                        f" access control (security_override: true insists)|{self.security}"
                    )
        for program in releases.PROGRAMS:
            version, given = getattr(self, f"{program}_version"), getattr(self, f"{program}_sha256")
            if lacking := releases.lacking(program, version, given):
                raise ValueError(f"{program}_sha256: {lacking}|{given}")
        for cloud, region, zones in (
            ("aws", self.aws_region, self.aws_zones),
            ("gcp", self.gcp_region, self.gcp_zones),
        ):
            for zone in zones:
                if not re.fullmatch(rf"{re.escape(region)}-?[a-z]", zone):
                    raise ValueError(f"{cloud}_zones: a zone of {cloud}_region {region}|{zone}")
            if len(set(zones)) != len(zones):
                raise ValueError(f"{cloud}_zones: each zone once|{', '.join(zones)}")
        ranges = {n: IPv4Network(getattr(self, n)) for n in ("aws_network", "gcp_public_subnet", "gcp_private_subnet")}
        named = list(ranges.items())
        for i, (one, first) in enumerate(named):
            for other, second in named[i + 1 :]:
                if first.overlaps(second):
                    raise ValueError(f"{other}: a range that does not overlap {one} {first}|{second}")
        if self.aws_asn == self.gcp_asn:
            raise ValueError(f"gcp_asn: another number than aws_asn|{self.gcp_asn}")
        if len(self.aws_zones) > 3:
            raise ValueError(f"aws_zones: at most 3, one an eighth of the network|{', '.join(self.aws_zones)}")
        return self


def read_file(file: Path) -> dict[str, Any]:
    """The mapping in a YAML parameter file.

    Raises:
        ParameterError: the file is missing, is not YAML or holds no mapping of names to values.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(
            "a parameter file cannot be read",
            resource=str(file),
            seen=error.strerror,
            remedy="give the path of one, for example params/lab.yaml",
        ) from None
    except yaml.YAMLError as error:
        raise ParameterError("a parameter file is not YAML", resource=str(file), seen=error) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ParameterError(
            "a parameter file holds something else than names and values",
            resource=str(file),
            expected="NAME: VALUE lines",
            seen=type(content).__name__,
        )
    return content


def unknown_parameter(name: str, source: str) -> ParameterError:
    """The refusal of a name that is no parameter, with the nearest one that is."""
    near = difflib.get_close_matches(name, Params.model_fields, n=1, cutoff=0.5)
    return ParameterError(
        f"there is no parameter called {name}",
        resource=name,
        expected=f"{near[0]}?" if near else f"one of: {', '.join(Params.model_fields)}",
        seen=f"{name} (from {source})",
        remedy="correct the name, or take it out",
    )


def help_lines() -> Iterable[tuple[str, str, str, str]]:
    """(name, type, default as Python, description) of each parameter, in order."""
    for name, info in Params.model_fields.items():
        default = list(info.default) if isinstance(info.default, tuple) else info.default
        kind = "list" if isinstance(default, list) else type(default).__name__
        yield name, kind, repr(default).replace("'", '"'), info.description or ""


def _is_parameter(name: str, value: Any) -> bool:
    """Tell a parameter from what else a fresh notebook kernel's globals hold."""
    # papermill adds the second kind itself, when it is told to inject paths.
    if name.startswith(("_", "PAPERMILL_")) or name in {"In", "Out", "exit", "quit", "open", "get_ipython"}:
        return False
    return name in Params.model_fields or isinstance(value, (str, int, float, bool, list, dict, tuple, type(None)))


def _may_refer(name: str) -> bool:
    return Params.model_fields[name].annotation is str and name not in _NO_REFERENCE


def _match(value: str, pattern: str, expected: str) -> str:
    if not re.fullmatch(pattern, value):
        raise ValueError(expected)
    return value
