# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the running kernel can make a dummy interface, and what to do where it can't. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

DRIVER = "dummy"
_BRIDGE_FILTER = "br_netfilter"
# Such as 5.15.0-206.153.7.el9uek.aarch64.64k; its flavours are debug, 64k and 64kdebug.
_UEK = re.compile(r"(?P<base>.*\.el\d+uek\.[a-z]+\d+(?:_\d+)?)(?:\.(?P<flavour>\w+))?")
_UEK_7 = (5, 15)
_UEK_8 = (6, 12)
_NUMBERS = re.compile(r"(\d+)\.(\d+)\.")
# The real-time kernel of EL 8. Later variants are a suffix, such as +rt, +64k and +64k-debug.
_RT = re.compile(r"\.rt\d")
_EL_9 = re.compile(r"5\.14\.0-(\d+)\.")
_FIRST_BUILD_WITH_MODULES_CORE = 284


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


def driver_package(os_release: str, release: str, drivers: Sequence[str] = (DRIVER,)) -> str:
    """Name the packages that have drivers for a kernel, from the text of os-release."""
    fields = _fields(os_release)
    family = f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split()
    if "ubuntu" in family:
        return f"the package linux-modules-{release}"
    if "debian" in family:
        return f"the distribution's kernel (package linux-image-{release})"
    if {"rhel", "fedora", "centos"} & set(family):
        return _packages(release, fields, drivers)
    return "the distribution's package of kernel modules"


def _packages(release: str, fields: Mapping[str, str], drivers: Sequence[str]) -> str:
    """Name the packages of a kernel of Enterprise Linux, Fedora or Oracle's UEK."""
    uek = _UEK.fullmatch(release)
    if uek:
        flavour = uek["flavour"] or ""
        # The package of the kernel with pages of 64 KiB is kernel-uek64k, without a hyphen.
        name = f"kernel-uek{flavour if not flavour or flavour.startswith('64k') else '-' + flavour}"
        return _named(name, [_part_of_uek(release, one) for one in drivers], uek["base"])
    base, _plus, variant = release.partition("+")
    if not variant and _RT.search(base):
        variant = "rt"
    name = f"kernel-{variant}" if variant else "kernel"
    return _named(name, [_part(release, fields, one) for one in drivers], base)


def _named(name: str, parts: Sequence[str], base: str) -> str:
    found = [f"{name}-{part}-{base}" if part else f"{name}-{base}" for part in sorted({*parts})]
    return f"the package{'s' if len(found) > 1 else ''} {' and '.join(found)}"


def _part_of_uek(release: str, driver: str) -> str:
    """Return the part of UEK's packages that has a driver.

    UEK 6 and older have one package. Oracle's repository of linux-uek has the lists of modules:
    uek-rpm/ol9/core-x86_64.list of UEK 7, uek-rpm/ol10/modules.yaml.S of UEK 8.
    """
    numbers = _NUMBERS.match(release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version < _UEK_7:
        return ""
    if version < _UEK_8:
        return "core"
    return "modules-extra-netfilter" if driver == _BRIDGE_FILTER else "modules-core"


def _part(release: str, fields: Mapping[str, str], driver: str) -> str:
    """Return the part of the kernel's packages that has a driver.

    From EL 9.2 on, kernel-modules-core has what kernel-core had. EL 10 moved br_netfilter
    (k3s-ansible#536): redhat/rhel_files/def_variants.yaml.rhel in the kernel's source package.
    """
    major = fields.get("VERSION_ID", "").partition(".")[0]
    build = _EL_9.match(release)
    if major == "8" or (build and int(build[1]) < _FIRST_BUILD_WITH_MODULES_CORE):
        return "core"
    is_fedora = fields.get("ID") == "fedora"
    if driver == _BRIDGE_FILTER and major != "9" and not is_fedora:
        return "modules-extra"
    return "modules-core"


def _fields(os_release: str) -> dict[str, str]:
    pairs = (line.strip().partition("=") for line in os_release.splitlines())
    return {name: value.strip("\"'") for name, _equals, value in pairs}


def _has_driver(text: str) -> bool:
    return any(f"/{DRIVER}.ko" in line.partition(":")[0] for line in text.splitlines())
