"""The course's own settings for JupyterLab; a student's own settings are left alone.

`course lab` names this folder in JUPYTER_CONFIG_PATH.
"""

c = get_config()  # noqa: F821 - Jupyter puts it into the namespace of its settings files

c.ServerApp.ip = "127.0.0.1"
# The environment is pinned: nothing is added to it from a menu, and nothing asks for updates.
c.LabApp.extension_manager = "readonly"
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
