# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program in place of a node's Python: it prints a recorded result of each module.

Called as: DIRECTORY AnsiballZ_MODULE.py. DIRECTORY has MODULE.json and, for what it replaces in the
text, lies.json. It imports nothing of the collection, as a node's Python.
"""

from __future__ import annotations

import ast
import json
import pathlib
import re
import sys
import time
from typing import Any

WRAPPER = re.compile(r".*AnsiballZ_(\w+)\.py")


def arguments(wrapper: str) -> dict[str, Any]:
    """Return the arguments of a module, which are in the file that Ansible starts."""
    for one in ast.walk(ast.parse(pathlib.Path(wrapper).read_text())):
        if not isinstance(one, ast.Constant) or not isinstance(one.value, (str, bytes)):
            continue
        text = one.value if isinstance(one.value, str) else one.value.decode(errors="replace")
        if text.lstrip().startswith("{") and "ANSIBLE_MODULE_ARGS" in text:
            found: dict[str, Any] = json.loads(text)["ANSIBLE_MODULE_ARGS"]
            return found
    raise SystemExit("no arguments of a module")


def outcomes(given: dict[str, Any], blocked: list[list[Any]]) -> list[dict[str, Any]]:
    """Return what a probe sees: all is open, but for what is blocked."""
    found = []
    for target in given["targets"]:
        for ports in target["ports"]:
            first, _dash, last = ports.partition("-")
            is_blocked = [target["destination"], ports] in blocked
            found.append(
                {
                    "address": target["address"],
                    "protocol": target["protocol"],
                    "first": int(first),
                    "last": int(last or first),
                    "observed": "timeout" if is_blocked else "open",
                    "detail": "",
                }
            )
    return found


def main() -> None:
    """Print the result of a module."""
    directory = pathlib.Path(sys.argv[1])
    match = WRAPPER.fullmatch(sys.argv[2])
    if match is None:
        raise SystemExit(f"{sys.argv[2]} is not a module")
    module = match[1]
    result = json.loads((directory / f"{module}.json").read_text())
    if module == "port_probe":
        result["results"] = outcomes(arguments(sys.argv[2]), result.pop("blocked"))
    if module == "preflight_facts":
        now = time.time() + result.pop("late", 0)
        result["facts"].update(clock=now, clock_at_the_end=now)
    text = json.dumps(result)
    lies = json.loads((directory / "lies.json").read_text())
    for old, new in lies.get(module, []):
        if old not in text:
            raise SystemExit(f"{old} is not in {text[:1000]}")
        text = text.replace(old, new)
    # A lie may be a lone surrogate.
    sys.stdout.buffer.write(text.encode(errors="surrogatepass") + b"\n")


if __name__ == "__main__":
    main()
