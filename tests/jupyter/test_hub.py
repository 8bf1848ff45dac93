from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from jupyter_client.kernelspec import KernelSpecManager

from runbook_lib import cli
from runbook_lib.archive.notebooks import CLONE
from runbook_lib.jupyter import hub

AT_HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/", "JUPYTERHUB_API_TOKEN": "made up"}


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Jupyter keeps the user's kernels, a folder of the test's own."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "kernels"


@pytest.mark.parametrize(("environment", "here"), [(AT_HUB, True), ({}, False), ({hub.PREFIX: ""}, False)])
def test_the_hub_is_known_by_what_it_gives_to_its_servers(environment: dict[str, str], here: bool) -> None:
    assert hub.is_here(environment) is here


@pytest.mark.parametrize(
    ("more", "notebook", "page"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/my clone/00.ipynb", "/user/ada/lab/tree/my%20clone/00.ipynb"),
        ({"HOME": "/home/ada", "JUPYTERHUB_ROOT_DIR": "/srv"}, "/srv/00.ipynb", "/user/ada/lab/tree/00.ipynb"),
        ({"HOME": "/home/ada", "JUPYTERHUB_ROOT_DIR": "/srv"}, "/home/ada/00.ipynb", ""),
    ],
)
def test_the_page_is_below_the_folder_that_the_hub_shows(more: dict[str, str], notebook: str, page: str) -> None:
    assert hub.page({**AT_HUB, **more}, Path(notebook)) == page


def test_the_kernel_offered_has_what_notebooks_import(kernels: Path) -> None:
    assert hub.offer_kernel() == hub.offer_kernel() == kernels / hub.KERNEL
    spec = KernelSpecManager().get_kernel_spec(hub.KERNEL)
    assert spec.display_name == hub.SHOWN
    assert spec.argv[0] == sys.executable
    python = [spec.argv[0], "-c", "import runbook_lib, ipykernel, shutil; print(shutil.which('runbook'))"]
    path = spec.env["PATH"].replace("${PATH}", os.defpath)
    found = subprocess.run(python, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(Path(sys.executable).parent / "runbook")


def test_only_this_environments_kernel_is_taken_back(kernels: Path) -> None:
    assert hub.forget_kernel() is None
    folder = hub.offer_kernel()
    spec = folder / "kernel.json"
    ours = spec.read_text()
    spec.write_text(json.dumps({**json.loads(ours), "argv": ["/another/clone/bin/python", "-m", "ipykernel_launcher"]}))
    assert hub.forget_kernel() is None
    assert spec.exists()
    spec.write_text(ours)
    assert hub.forget_kernel() == folder
    assert not folder.exists()


def test_at_a_hub_nothing_is_served(kernels: Path, tmp_path: Path) -> None:
    environment = {**AT_HUB, "JUPYTERHUB_ROOT_DIR": str(CLONE.parent)}
    said = CliRunner().invoke(cli.runbook, ["jupyter", "--no-lab"], env=environment)
    assert said.exit_code == 0, said.output
    assert hub.SHOWN in said.output
    assert f"/user/ada/lab/tree/{CLONE.name}/notebooks/00_provision.ipynb" in said.output
    assert (kernels / hub.KERNEL / "kernel.json").exists()
    back = CliRunner().invoke(cli.runbook, ["jupyter", "--forget-kernel"], env=environment)
    assert str(kernels / hub.KERNEL) in back.output
    assert not (kernels / hub.KERNEL).exists()
