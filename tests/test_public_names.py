"""The package's one face: every name is there, and none costs anything before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import runbook_lib

HEAVY = {"asyncssh", "boto3", "botocore", "google.cloud", "matplotlib", "moto", "networkx", "papermill", "pydantic"}


def loaded_after(code: str) -> set[str]:
    """Names of the modules that a fresh interpreter has loaded after running this."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", runbook_lib.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(runbook_lib, name)
    assert value.__name__.rpartition(".")[2] == name
    assert value.__doc__, "and explained"


def test_the_names_are_listed() -> None:
    assert dir(runbook_lib) == runbook_lib.__all__ == sorted(set(runbook_lib.__all__))


def test_another_name_is_an_error_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = runbook_lib.no_such_name


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_after("import runbook_lib")
    assert "runbook_lib" in loaded
    assert not HEAVY & loaded
    assert not [name for name in loaded if name.startswith("runbook_lib.")]


def test_parameters_are_checked_before_the_clouds_libraries_are_loaded() -> None:
    loaded = loaded_after("import runbook_lib\nrunbook_lib.Params()")
    assert "runbook_lib.params" in loaded
    assert not (HEAVY - {"pydantic"}) & loaded


def test_opening_a_site_loads_no_more_than_it_asks() -> None:
    code = """
import tempfile
import runbook_lib as rb
home = tempfile.TemporaryDirectory()
account = dict(aws_endpoint="http://127.0.0.1:9", gcp_endpoint="http://127.0.0.1:9", keys=home.name)
try:
    rb.open_site(rb.Params(**account, gcp_credentials=home.name + "/none"))
except rb.RunbookError:
    pass
"""
    loaded = loaded_after(code)
    assert {"boto3", "asyncssh", "google.auth"} <= loaded
    assert not {"matplotlib", "networkx", "papermill", "moto", "nbformat", "IPython"} & loaded
    services = {name.split(".")[4] for name in loaded if name.startswith("google.cloud.compute_v1.services.")}
    assert not services
