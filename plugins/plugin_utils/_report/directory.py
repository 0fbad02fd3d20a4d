# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory of the report on the controller."""

from __future__ import annotations

import tempfile

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import files


def make_directory(directory: str) -> None:
    """Create a directory unless it exists; check that it is writable. Raises OSError."""
    # A web server or a CI runner reads it, whatever the user's umask is.
    files.make_directory(directory, 0o755)
    with tempfile.TemporaryFile(dir=directory):
        pass


def unwritable(directory: str, error: OSError) -> str:
    """Return the message for a directory that cannot be written."""
    return (
        f"k3s_connectivity_report_dir: the controller can't write the report to {directory} "
        f"({error.strerror or error}). Let it name a directory that the user who runs Ansible may "
        "write, or leave it out"
    )
