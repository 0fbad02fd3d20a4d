# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.kernel_driver import (
    driver_package,
    driver_problem,
)


def test_a_loaded_driver_is_no_problem():
    assert driver_problem("6.1", True, {}, "p") == ""


@pytest.mark.parametrize(
    "text",
    [
        "kernel/drivers/net/dummy.ko.xz: kernel/lib/x.ko\n",
        "kernel/drivers/net/dummy.ko.zst:\n",
        "kernel/net/a.ko:\nkernel/drivers/net/dummy.ko\n",
    ],
)
def test_an_installed_or_builtin_driver_is_no_problem(text):
    assert driver_problem("6.1", False, {"6.1": text}, "p") == ""


@pytest.mark.parametrize(
    "text", ["", "kernel/x.ko: kernel/drivers/net/dummy.ko\n", "a/dummy-irq.ko:\n"]
)
def test_a_missing_driver_names_kernel_file_and_package(text):
    problem = driver_problem("6.1", False, {"6.1": text}, "the package extra-6.1")
    assert problem.startswith("its kernel (6.1) has no driver 'dummy'")
    assert "dummy.ko is missing in /lib/modules/6.1" in problem
    assert "install the package extra-6.1" in problem
    assert "or give the host a default route" in problem


def test_a_kernel_without_any_modules_is_told_what_to_install():
    assert "install the package extra-6.1" in driver_problem(
        "6.1", False, {}, "the package extra-6.1"
    )


def test_a_driver_of_another_kernel_asks_for_a_reboot():
    driver = "kernel/drivers/net/dummy.ko:"
    lists = {"6.1": "", "6.3": driver, "6.2": driver, "6.4": "kernel/x.ko:"}
    problem = driver_problem("6.1", False, lists, "p")
    assert "installed for kernel 6.2, 6.3: a reboot into it is due" in problem
    assert "or give the host a default route" in problem
    assert "install p" not in problem


def test_the_modules_of_a_running_kernel_may_be_gone_altogether():
    assert "a reboot into it is due" in driver_problem(
        "6.1", False, {"6.2": "kernel/drivers/net/dummy.ko:"}, "p"
    )


@pytest.mark.parametrize(
    ("os_release", "package"),
    [
        (
            {"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"},
            "the package kernel-modules-R",
        ),
        (
            {"ID": "almalinux", "ID_LIKE": "rhel", "VERSION_ID": "8.10"},
            "the package kernel-modules-R",
        ),
        ({"ID": "rhel", "VERSION_ID": "10.0"}, "the package kernel-modules-extra-R"),
        ({"ID": "fedora", "VERSION_ID": "41"}, "the package kernel-modules-extra-R"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "the package linux-modules-R"),
        ({"ID": "debian"}, "the distribution's kernel (package linux-image-R)"),
        ({"ID": "opensuse-leap"}, "the distribution's package of kernel modules"),
        ({}, "the distribution's package of kernel modules"),
    ],
)
def test_the_package_is_named_per_distribution(os_release, package):
    text = "".join(f'{name}="{value}"\n' for name, value in os_release.items())
    assert driver_package(text, "R") == package


@pytest.mark.parametrize(
    ("version", "release", "package"),
    [
        ("9.4", "5.14.0-427.el9.x86_64+rt", "kernel-rt-modules-5.14.0-427.el9.x86_64"),
        ("9.4", "5.14.0-427.el9.aarch64+64k", "kernel-64k-modules-5.14.0-427.el9.aarch64"),
        ("9.4", "5.14.0-427.el9.x86_64+debug", "kernel-debug-modules-5.14.0-427.el9.x86_64"),
        ("9.4", "5.14.0-1.el9.aarch64+64k-debug", "kernel-64k-debug-modules-5.14.0-1.el9.aarch64"),
        ("10.0", "6.12.0-55.el10.x86_64+rt", "kernel-rt-modules-extra-6.12.0-55.el10.x86_64"),
        (
            "8.10",
            "4.18.0-553.rt7.342.el8_10.x86_64",
            "kernel-rt-modules-4.18.0-553.rt7.342.el8_10.x86_64",
        ),
        ("8.10", "5.4.17-2136.el8uek.x86_64", "kernel-uek-5.4.17-2136.el8uek.x86_64"),
        ("9.4", "5.15.0-206.el9uek.x86_64", "kernel-uek-modules-5.15.0-206.el9uek.x86_64"),
        ("8.10", "5.15.0-206.el8uek.aarch64", "kernel-uek-modules-5.15.0-206.el8uek.aarch64"),
    ],
)
def test_package_of_a_kernel_variant_is_named(version, release, package):
    text = f'ID="ol"\nID_LIKE="fedora"\nVERSION_ID="{version}"\n'
    assert driver_package(text, release) == f"the package {package}"
