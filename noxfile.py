# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions of antsibull-nox.toml, and what the collection checks besides."""

from __future__ import annotations

import antsibull_nox
import nox

antsibull_nox.load_antsibull_nox_toml()

# Sessions without an environment of their own run in the one of the Makefile.
TYPED = "ansible_collections.edgeops.k3s_network.plugins"


@nox.session(python=False)
def typing(session: nox.Session) -> None:
    """Check the types strictly; the collection is known by its path in .build."""
    session.run("mypy", "-p", f"{TYPED}.module_utils", "-p", f"{TYPED}.plugin_utils")


@nox.session(python=False)
def changelog(session: nox.Session) -> None:
    """Check the changelog and its fragments."""
    session.run("antsibull-changelog", "lint")


@nox.session(python=False)
def readme(session: nox.Session) -> None:
    """Check the tables that are generated into the READMEs and CONTRIBUTING.md."""
    session.run("python", "tests/tools/readme_tables.py", "--check")
    session.run("python", "tests/tools/promises.py", "--check")
