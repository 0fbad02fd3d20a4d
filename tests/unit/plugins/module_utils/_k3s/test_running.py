# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.running import (
    running_kubernetes,
)

DATA = "/var/lib/rancher/k3s/data/da3ffc1d30a49a23449847b31d95bf4c96c8551396573c18886c9d0c4a63c710"
# What ps prints of them: k3s-io/k3s#1590, #1965 and #6218, containerd/runwasi#821,
# spinframework/containerd-shim-spin#195. Names are cut after 15 bytes.
SHIM = ["-namespace", "k8s.io", "-id", "d185b3c7", "-address", "/run/k3s/containerd.sock"]
SERVER = ("k3s-server", ["/usr/local/bin/k3s server"])
AGENT = ("k3s-agent", ["/usr/local/bin/k3s agent"])
POD = ("containerd-shim", [f"{DATA}/bin/containerd-shim-runc-v2", *SHIM])
WASM_POD = ("containerd-shim", ["/usr/bin/containerd-shim-spin-v2", *SHIM])
OLD_POD = ("containerd-shim", ["containerd-shim", *SHIM[:2], "-workdir", "/var/lib/rancher/k3s"])
OTHERS = [
    ("systemd", ["/sbin/init"]),
    ("kworker/0:1", []),
    ("kubectl", ["kubectl", "get", "pods"]),
    ("k3s-killall.sh", ["/bin/sh", "/usr/local/bin/k3s-killall.sh"]),
    ("journalctl", ["journalctl", "-u", "k3s", "-t", "k3s-server"]),
    ("containerd", ["/usr/bin/containerd"]),
    ("containerd-shim", ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", *SHIM[2:]]),
    ("grep", ["grep", "-namespace", "k8s.io"]),
]
ENDED_POD = ("containerd-shim", [])


@pytest.fixture
def proc(tmp_path):
    """Return a function that writes a procfs with these processes."""

    def write(*processes):
        for name in ("self", "net", "sys"):
            (tmp_path / name).mkdir()
        for pid, (comm, words) in enumerate(processes, start=1):
            (tmp_path / str(pid)).mkdir()
            (tmp_path / str(pid) / "comm").write_text(f"{comm}\n")
            (tmp_path / str(pid) / "cmdline").write_text("".join(f"{word}\0" for word in words))
        return str(tmp_path)

    return write


@pytest.mark.parametrize(
    ("processes", "names"),
    [
        ([SERVER, POD, POD], ["containerd-shim", "k3s-server"]),
        ([AGENT], ["k3s-agent"]),
        ([("k3s", ["/usr/local/bin/k3s", "server"])], ["k3s"]),
        ([("rke2", ["/usr/bin/rke2 server"]), ("kubelet", ["kubelet"])], ["kubelet", "rke2"]),
        ([POD], ["containerd-shim"]),
        ([WASM_POD], ["containerd-shim"]),
        ([OLD_POD], ["containerd-shim"]),
        ([], []),
        ([ENDED_POD], []),
    ],
)
def test_running_kubernetes_names_processes(proc, processes, names):
    assert running_kubernetes(proc(*OTHERS, *processes)) == names


def test_running_kubernetes_process_ended_is_skipped(proc, tmp_path):
    path = proc(SERVER, POD, POD)
    (tmp_path / "2" / "comm").unlink()
    (tmp_path / "3" / "cmdline").unlink()
    assert running_kubernetes(path) == ["k3s-server"]


def test_running_kubernetes_name_not_utf8_is_read(proc, tmp_path):
    path = proc(SERVER, POD)
    (tmp_path / "1" / "comm").write_bytes(b"\xff\xfe\n")
    assert running_kubernetes(path) == ["containerd-shim"]


def test_running_kubernetes_real_procfs_is_understood(tmp_path):
    """Start programs of these names, as the kernel names them after their files.

    Machines of the lab may run others of these names meanwhile; those of this test are looked at.
    """
    running = []
    proc = tmp_path / "proc"
    proc.mkdir()
    try:
        for name, words in (("k3s-agent", []), ("containerd-shim-runc-v2", SHIM)):
            script = tmp_path / name
            script.write_text("#!/bin/sh\nread line\n")
            script.chmod(0o755)
            running.append(subprocess.Popen([str(script), *words], stdin=subprocess.PIPE))
            pid = running[-1].pid
            (proc / str(pid)).symlink_to(f"/proc/{pid}")
        wanted = ["containerd-shim", "k3s-agent"]
        deadline = time.monotonic() + 60
        while running_kubernetes(str(proc)) != wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running_kubernetes(str(proc)) == wanted
    finally:
        for process in running:
            process.communicate()
    assert running_kubernetes(str(proc)) == []
