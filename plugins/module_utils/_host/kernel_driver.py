# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the running kernel can make a dummy interface, and what to do where it can't. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

DRIVER = "dummy"
_UEK = re.compile(r"\.el\d+uek\b")
_RT = re.compile(r"\.rt\d")


def driver_problem(
    release: str,
    loaded: bool,
    module_lists: Mapping[str, str],
    package: str,
) -> str:
    """Say why the kernel can't make a dummy interface; an empty string where it can.

    C(module_lists) maps kernel releases to their C(modules.dep) and C(modules.builtin) in one
    text, C(package) names the package that brings the driver on this distribution.
    """
    if loaded:
        return ""
    own = module_lists.get(release)
    if own is not None and _has_driver(own):
        return ""
    problem = f"its kernel ({release}) has no driver '{DRIVER}' to make one with"
    others = sorted(
        other for other, text in module_lists.items() if other != release and _has_driver(text)
    )
    if others:
        return (
            f"{problem}; the driver is installed for kernel {', '.join(others)}: a reboot into it "
            "is due, or give the host a default route"
        )
    return (
        f"{problem}: {DRIVER}.ko is missing in /lib/modules/{release}; install {package} (no "
        "reboot is needed where that is for the running kernel), or give the host a default route"
    )


def driver_package(os_release: str, release: str) -> str:
    """Name the package that has the dummy driver, from the text of os-release."""
    fields = _fields(os_release)
    family = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    if "ubuntu" in family:
        return f"the package linux-modules-{release}"
    if "debian" in family:
        return f"the distribution's kernel (package linux-image-{release})"
    if {"rhel", "fedora", "centos"} & set(family):
        return f"the package {_of_enterprise_linux(fields.get('VERSION_ID', ''), release)}"
    return "the distribution's package of kernel modules"


def _of_enterprise_linux(version: str, release: str) -> str:
    """Name the package of a kernel of Enterprise Linux or Fedora, of any of its variants.

    A variant is a suffix of the release, such as C(5.14.0-427.el9.x86_64+rt) or C(+64k-debug). The
    real-time kernel of EL 8 and Oracle's UEK have it within.
    """
    base, _plus, variant = release.partition("+")
    if _UEK.search(base):
        # Up to UEK 6, one package has all modules.
        old = base.startswith(("4.", "5.4."))
        return f"kernel-uek{'' if old else '-modules'}-{base}"
    if not variant and _RT.search(base):
        variant = "rt"
    # EL 8 and 9 have it in kernel-modules; from EL 10 on it is in kernel-modules-extra.
    modules = "modules" if version.partition(".")[0] in ("8", "9") else "modules-extra"
    return "-".join(part for part in ("kernel", variant, modules, base) if part)


def _fields(os_release: str) -> dict[str, str]:
    pairs = (line.strip().partition("=") for line in os_release.splitlines())
    return {name: value.strip("\"'") for name, _equals, value in pairs}


def _has_driver(text: str) -> bool:
    return any(f"/{DRIVER}.ko" in line.partition(":")[0] for line in text.splitlines())
