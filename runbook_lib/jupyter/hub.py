"""Behind JupyterHub: a JupyterLab runs already, so it is offered a kernel, and nothing is served."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

KERNEL, SHOWN = "multi-cloud-runbook", "Multi-cloud runbook"
PREFIX = "JUPYTERHUB_SERVICE_PREFIX"  # JupyterHub gives it to each user's server, for example /user/ada/
ROOTS = ("JUPYTERHUB_ROOT_DIR", "HOME")  # the folder that such a server shows


def is_here(environment: Mapping[str, str]) -> bool:
    """Whether this process was started in a user's server of a JupyterHub."""
    return bool(environment.get(PREFIX))


def page(environment: Mapping[str, str], notebook: Path) -> str:
    """The notebook's path at the Hub; empty if it is not below the folder that the Hub's JupyterLab shows."""
    root = Path(next((environment[name] for name in ROOTS if environment.get(name)), "/"))
    if not notebook.is_relative_to(root):
        return ""
    return f"{environment[PREFIX].rstrip('/')}/lab/tree/{quote(notebook.relative_to(root).as_posix())}"


def offer_kernel() -> Path:
    """Offer this environment's Python as a kernel to every JupyterLab of the user; done twice, it is there once.

    Returns:
        The folder of its description.
    """
    from ipykernel.kernelspec import write_kernel_spec
    from jupyter_client.kernelspec import KernelSpecManager

    # `!runbook ...` in a cell is this environment's; Jupyter fills in the rest of the path.
    path = f"{Path(sys.executable).parent}{os.pathsep}${{PATH}}"
    with tempfile.TemporaryDirectory(prefix="runbook-kernel-") as folder:
        made = write_kernel_spec(Path(folder) / KERNEL, overrides={"display_name": SHOWN, "env": {"PATH": path}})
        return Path(KernelSpecManager().install_kernel_spec(str(made), KERNEL, user=True))


def forget_kernel() -> Path | None:
    """Take back what ``offer_kernel`` did; another clone's kernel of that name stays.

    Returns:
        The folder that was removed; None if there was none of this environment's.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    manager = KernelSpecManager()
    try:
        spec = manager.get_kernel_spec(KERNEL)
    except NoSuchKernel:
        return None
    return Path(manager.remove_kernel_spec(KERNEL)) if spec.argv[0] == sys.executable else None
