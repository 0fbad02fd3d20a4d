# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import overlay


def test_read_returns_the_interfaces_that_exist(tmp_path, monkeypatch):
    # IFF_BROADCAST and IFF_MULTICAST, with and without IFF_UP, as the kernel prints them.
    for name, flags in (("cni0", "0x1003"), ("flannel.1", "0x1002"), ("eth0", "0x1003")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags").write_text(f"{flags}\n")
    held = {("udp", 8472): frozenset({"::"}), ("tcp", 6443): frozenset({"::"})}
    monkeypatch.setattr(overlay.held_ports, "read", lambda: held)
    monkeypatch.setattr(overlay, "running_kubernetes", lambda: ["k3s-server"])
    assert overlay.read(["cni0", "flannel.1", "flannel-wg"], str(tmp_path)) == {
        "kubernetes": ["k3s-server"],
        "interfaces": {"cni0": True, "flannel.1": False},
        "udp_ports": [8472],
    }


def test_read_bounds_the_number_of_ports(monkeypatch):
    monkeypatch.setattr(
        overlay.held_ports, "read", lambda: {("udp", port): frozenset() for port in range(60000)}
    )
    assert len(overlay.read([])["udp_ports"]) == 1000
