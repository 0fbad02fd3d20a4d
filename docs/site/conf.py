# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of Sphinx for the documentation site. Neither build nor pages load anything."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

SITE = Path(__file__).resolve().parent
COLLECTION = SITE.parents[1]
sys.path.insert(0, str(SITE))

_galaxy = yaml.safe_load((COLLECTION / "galaxy.yml").read_text(encoding="utf-8"))

project = f"{_galaxy['namespace']}.{_galaxy['name']}"
copyright = "The edgeops.k3s_network authors, GPL-3.0-or-later"
release = version = _galaxy["version"]
title = f"{project} {version}"
html_short_title = html_title = title

extensions = ["sphinx_antsibull_ext", "ansible_labels", "antsibull_pages", "port_table"]
port_table_defaults = str(COLLECTION / "roles" / "k3s_topology" / "defaults" / "main.yml")

highlight_language = "yaml"
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_static_path = [str(SITE / "static")]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
antsibull_ext_color_scheme = "default-autodark"
