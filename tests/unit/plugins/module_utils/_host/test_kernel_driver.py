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
        ("8.10", "4.18.0-553.el8_10.x86_64", "kernel-core-4.18.0-553.el8_10.x86_64"),
        (
            "8.10",
            "4.18.0-553.rt7.342.el8_10.x86_64",
            "kernel-rt-core-4.18.0-553.rt7.342.el8_10.x86_64",
        ),
        ("9.1", "5.14.0-162.6.1.el9_1.x86_64", "kernel-core-5.14.0-162.6.1.el9_1.x86_64"),
        ("9.4", "5.14.0-427.el9_4.x86_64", "kernel-modules-core-5.14.0-427.el9_4.x86_64"),
        ("9.4", "5.14.0-427.el9.x86_64+rt", "kernel-rt-modules-core-5.14.0-427.el9.x86_64"),
        ("9.4", "5.14.0-427.el9.aarch64+64k", "kernel-64k-modules-core-5.14.0-427.el9.aarch64"),
        ("9.4", "5.14.0-427.el9.x86_64+debug", "kernel-debug-modules-core-5.14.0-427.el9.x86_64"),
        (
            "9.4",
            "5.14.0-427.el9.aarch64+64k-debug",
            "kernel-64k-debug-modules-core-5.14.0-427.el9.aarch64",
        ),
        ("10.0", "6.12.0-55.el10_0.x86_64", "kernel-modules-core-6.12.0-55.el10_0.x86_64"),
        ("10.0", "6.12.0-55.el10_0.x86_64+rt", "kernel-rt-modules-core-6.12.0-55.el10_0.x86_64"),
        ("8.10", "5.4.17-2136.el8uek.x86_64", "kernel-uek-5.4.17-2136.el8uek.x86_64"),
        ("8.10", "5.4.17-2136.el8uek.x86_64.debug", "kernel-uek-debug-5.4.17-2136.el8uek.x86_64"),
        ("9.4", "5.15.0-206.el9uek.x86_64", "kernel-uek-core-5.15.0-206.el9uek.x86_64"),
        ("9.4", "5.15.0-206.el9uek.aarch64.64k", "kernel-uek64k-core-5.15.0-206.el9uek.aarch64"),
        ("10.0", "6.12.0-103.el10uek.x86_64", "kernel-uek-modules-core-6.12.0-103.el10uek.x86_64"),
    ],
)
def test_package_of_a_kernel_variant_is_named(version, release, package):
    text = f'ID="ol"\nID_LIKE="fedora"\nVERSION_ID="{version}"\n'
    assert driver_package(text, release) == f"the package {package}"


@pytest.mark.parametrize(
    ("text", "release", "package"),
    [
        ("ID=rhel\nVERSION_ID=9.4\n", "5.14.0-427.el9.x86_64", "kernel-modules-core-{}"),
        ("ID=rhel\nVERSION_ID=10.1\n", "6.12.0-124.el10_1.x86_64", "kernel-modules-extra-{}"),
        ("ID=fedora\nVERSION_ID=41\n", "6.11.4-301.fc41.x86_64", "kernel-modules-core-{}"),
        (
            "ID=ol\nID_LIKE=fedora\nVERSION_ID=9.6\n",
            "6.12.0-103.el9uek.aarch64",
            "kernel-uek-modules-extra-netfilter-{}",
        ),
        ("ID=ol\nID_LIKE=fedora\n", "5.15.0-206.el9uek.x86_64", "kernel-uek-core-{}"),
    ],
)
def test_package_of_br_netfilter_is_named(text, release, package):
    expected = f"the package {package.format(release)}"
    assert driver_package(text, release, ["br_netfilter"]) == expected


def test_packages_of_several_drivers_are_named():
    text = "ID=rocky\nID_LIKE=rhel\nVERSION_ID=10.0\n"
    release = "6.12.0-55.el10_0.aarch64+64k"
    base = "6.12.0-55.el10_0.aarch64"
    assert driver_package(text, release, ["br_netfilter", "overlay", "vxlan"]) == (
        f"the packages kernel-64k-modules-core-{base} and kernel-64k-modules-extra-{base}"
    )
