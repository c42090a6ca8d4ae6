"""Puts the package beside into the folder `site` here, so that your environment stays as it is.

`pip install ./examples/own_package` needs none of this.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def install() -> None:
    """Build and install it once; this process and those that it starts find it there."""
    source, site = Path(__file__).parent, Path("site").resolve()
    if not site.exists():
        shutil.copytree(source, "own_package", dirs_exist_ok=True)  # pip builds where the source is
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(site), "./own_package"], check=True)
    sys.path.insert(0, str(site))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])  # for the workers
