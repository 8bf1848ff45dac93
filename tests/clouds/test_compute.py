"""Google's package, as far as it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SETUP = """
import json, sys
from runbook_lib.clouds.gcp import compute
v1 = compute.load()
def services(): return sorted({n.split(".")[4] for n in sys.modules if n.startswith(compute.NAME + ".services.")})
"""


def told(code: str) -> Any:
    """What a fresh interpreter prints as JSON after running this."""
    done = subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_only_what_is_asked_for_is_loaded() -> None:
    code = "v1.Operation.Status.DONE, v1.ExternalVpnGatewaysClient, v1.types.Firewall, v1.NetworksClient"
    found = told(f"{code}; print(json.dumps(services()))")
    assert {"external_vpn_gateways", "networks"} <= {*found} and "instances" not in found and len(found) < 5


def test_it_is_the_package_that_others_import() -> None:
    code = """
from google.cloud import compute_v1
from google.cloud.compute_v1 import Instance, ZonesClient
from google.cloud.compute_v1.services.zones import ZonesClient as same
print(json.dumps([compute_v1 is v1, ZonesClient is same, Instance is v1.types.Instance, hasattr(v1, "NoSuchClient")]))
"""
    assert told(code) == [True, True, True, False]


def test_the_whole_is_there_for_whoever_wants_it() -> None:
    names = told("print(json.dumps([list(v1.__all__), len(services()), v1.__version__]))")
    assert {"AcceleratorTypesClient", "NetworksClient", "Firewall"} <= {*names[0]}
    assert names[1] > 100 and names[2]


def test_where_it_was_imported_before_it_is_left_alone() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"from google.cloud import compute_v1\n{SETUP}\nprint(v1 is compute_v1, type(v1).__name__)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "module"]
