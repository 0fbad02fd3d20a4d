# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs modules of the collection on a node as Ansible does, without its start and transfer."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from ansible.module_utils import basic
from ansible_collections.edgeops.k3s_network.plugins.modules import port_listener, port_probe

_MODULES = {"port_listener": port_listener, "port_probe": port_probe}


def run(module: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a module's result. Changes the process, so each call needs one of its own."""
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        _MODULES[module].main()
    result: dict[str, Any] = json.loads(printed.getvalue())
    return result
