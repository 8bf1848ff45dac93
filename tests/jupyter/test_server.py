from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.auth.security import passwd

from runbook_lib.errors import PrerequisiteError
from runbook_lib.jupyter import server
from runbook_lib.jupyter.server import Desk, serving

# Where this process's servers begin to look for a free port: those of tests beside it must not be after the same.
PORT = 20000 + os.getpid() % 10000


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A folder with a notebook, and a home and a folder for temporary ones of its own."""
    for name in ("home", "short"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "short"))
    notebook = tmp_path / "a clone" / "notebooks" / "00.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return Desk(tmp_path / "a clone", notebook, PORT)


def test_the_command_line_holds_no_secret_and_opens_the_notebook(desk: Desk, tmp_path: Path) -> None:
    words = server.arguments(desk, tmp_path, root_user=False)
    assert words[:3] == [sys.executable, "-m", "jupyterlab"]
    assert not [word for word in words if "token" in word.lower() or "password" in word.lower()]
    assert "--LabApp.default_url=/lab/workspaces/runbook/tree/notebooks/00.ipynb" in words
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "--ServerApp.allow_root=False" in words
    assert "--ServerApp.open_browser=False" in words


def test_what_the_user_set_stays_and_what_would_leak_does_not(tmp_path: Path) -> None:
    given = {
        "HOME": "/home/ada",
        "PATH": "/usr/bin",
        "JUPYTER_CONFIG_DIR": "/home/ada/mine",
        "JUPYTER_TOKEN": "theirs",
        "JUPYTERHUB_API_TOKEN": "the hub's",
    }
    made = server.environment(given, tmp_path)
    assert made["JUPYTER_CONFIG_DIR"] == "/home/ada/mine"
    assert made["JUPYTER_DATA_DIR"] == "/home/ada/.cache/runbook/jupyter"
    assert made["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"
    assert not {"theirs", "the hub's"} & set(made.values())


def test_the_kernel_is_this_environments_whatever_is_installed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "data" / "kernels" / "python3"
    elsewhere.mkdir(parents=True)
    (elsewhere / "kernel.json").write_text(json.dumps({"argv": ["/nowhere/python"], "display_name": "Old"}))
    (tmp_path / "folder").mkdir()
    server.furnish(tmp_path / "folder")
    for preferred in ("0", "1"):
        monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", preferred)
        monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("JUPYTER_PATH", server.environment(os.environ, tmp_path / "folder")["JUPYTER_PATH"])
        assert KernelSpecManager().get_kernel_spec("python3").argv[0] == sys.executable


def test_it_serves_the_notebook_on_the_next_free_port_and_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(Desk(desk.root, desk.notebook, port)) as found:
            assert found.port != port
            headers = {"Authorization": f"token {found.token}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{found.port}", headers=headers, timeout=30) as client:
                assert client.get(found.desk.page).status_code == 200
                assert client.get("/api/contents/notebooks/00.ipynb").json()["name"] == "00.ipynb"
                workspace = client.get("/lab/api/workspaces/runbook").json()["data"]
                assert workspace["layout-restorer:data"]["left"]["current"] == server.CONTENTS
                settings = client.get("/lab/api/settings/@jupyterlab/apputils-extension:notification").json()
                assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"
                assert list(client.get("/api/kernelspecs").json()["kernelspecs"]) == ["python3"]
            assert httpx.get(f"http://127.0.0.1:{found.port}/api/contents").status_code == 403
            assert found.token not in Path(f"/proc/{found.process.pid}/cmdline").read_text()
    assert found.process.poll() is not None
    assert not list((tmp_path / "short").iterdir())


@pytest.mark.parametrize("password", [False, True], ids=["token", "password"])
def test_the_address_is_the_one_that_the_user_s_configuration_gives(
    password: bool, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["c.ServerApp.base_url = '/own/'"]
    if password:
        lines.append(f"c.PasswordIdentityProvider.hashed_password = {passwd('a word')!r}")
    (tmp_path / "jupyter_server_config.py").write_text("\n".join(lines))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    with serving(desk) as found:
        assert found.url.startswith(f"http://127.0.0.1:{found.port}/own/lab/")
        assert ("token=" in found.url) is not password
        page = httpx.get(found.url, follow_redirects=True, timeout=30)
        assert page.status_code == 200
        assert ("/own/login" in str(page.url)) is password


def test_a_server_that_does_not_start_says_why(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "jupyter_server_config.py").write_text("raise SystemExit('this configuration is broken')")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(config))
    with pytest.raises(PrerequisiteError, match="did not start") as caught, serving(desk):
        pass
    assert "this configuration is broken" in str(caught.value)
    assert "exit status" in str(caught.value)
    assert "what to do" in str(caught.value)
    assert not list((tmp_path / "short").iterdir())


def test_without_jupyterlab_it_says_what_to_install() -> None:
    program = """
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "jupyterlab" else found(name, *more)
from runbook_lib.cli import runbook
runbook(["jupyter", "--no-lab", "--no-browser"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "JupyterLab is not installed" in done.stderr
    assert "make setup" in done.stderr
