"""``runbook jupyter``: the notebooks in JupyterLab, on this machine, a remote one, or JupyterHub's."""
