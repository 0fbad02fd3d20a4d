# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ansible-test over the files that git knows or would take: COMMAND [ARGUMENT...]

ansible-test wants the collection in a path of its own and makes virtual environments with a pip
from a site of its own. Here that pip comes from the package index, like all the rest.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from ansible.release import __version__ as ansible_version
from ansible_test._internal.host_configs import NativePythonConfig
from ansible_test._internal.python_requirements import get_venv_packages

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Not in the repository: ansible-test's virtual environments need a short path.
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
HOME = CACHE / "k3s-network-ansible-test"

BOOTSTRAP = """\
import pathlib, sys
sys.path.insert(0, str(next(pathlib.Path(__file__).parent.glob("pip-{version}-*.whl"))))
from pip._internal.cli.main import main
sys.exit(main(["install", *(one for one in sys.argv[1:] if not one.startswith("--no-"))]))
"""


def copy(collection: pathlib.Path) -> None:
    """Copy the work tree, without what git ignores."""
    shutil.rmtree(collection, ignore_errors=True)
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    out = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, out.split("\0")):
        if (ROOT / name).exists():
            (collection / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, collection / name, follow_symlinks=False)


def provide_pip() -> None:
    """Put a script where ansible-test looks for the one that installs its pip."""
    python = NativePythonConfig(version="{}.{}".format(*sys.version_info), path=sys.executable)
    version = get_venv_packages(python)["pip"]
    cache = HOME / ".ansible" / "test" / "cache"
    script = cache / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        return
    cache.mkdir(parents=True, exist_ok=True)
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    subprocess.run([*download, str(cache), f"pip=={version}"], check=True)
    script.write_text(BOOTSTRAP.format(version=version))


def main() -> int:
    """Copy and run."""
    command = sys.argv[1]
    # A copy for each, since they may run at the same time.
    copies = HOME / f"{command}-{ansible_version}"
    collection = copies / "ansible_collections" / "edgeops" / "k3s_network"
    copy(collection)
    if command == "sanity":
        provide_pip()
    test = pathlib.Path(sys.executable).with_name("ansible-test")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    version = "{}.{}".format(*sys.version_info)
    return subprocess.run(
        [test, command, "--python", version, "--color", "no", *sys.argv[2:]],
        cwd=collection,
        env={**os.environ, "HOME": str(HOME), "XDG_CONFIG_HOME": config},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
