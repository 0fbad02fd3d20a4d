# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import resource
import signal
import socket
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _listener
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.loopback import (
    HERE,
    THERE,
    TOKEN,
    free_port,
    listening,
    open_files,
)

SAID = f"{TOKEN} server1\n".encode()


def ask_tcp(port, address=HERE):
    with socket.create_connection((address, port), timeout=2) as connection:
        return connection.recv(512)


def ask_udp(port, data, address=HERE):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.sendto(data, (address, port))
        return sock.recv(512)


def test_a_tcp_connection_is_answered_at_once_and_again():
    port = free_port()
    with listening((HERE, "tcp", port)):
        assert [ask_tcp(port), ask_tcp(port)] == [SAID, SAID]


def test_a_udp_question_of_the_run_is_answered():
    port = free_port(socket.SOCK_DGRAM)
    with listening((HERE, "udp", port)):
        assert ask_udp(port, f"{TOKEN}\n".encode()) == SAID


@pytest.mark.parametrize("data", [b"", b"hello\n", b"f" * 32 + b"\n"])
def test_other_datagrams_are_not_answered(data):
    port = free_port(socket.SOCK_DGRAM)
    with listening((HERE, "udp", port)), pytest.raises(socket.timeout):
        ask_udp(port, data)


def test_one_port_is_held_on_its_address_and_protocol_only():
    port = free_port()
    with listening((HERE, "tcp", port)), pytest.raises(ConnectionRefusedError):
        ask_tcp(port, THERE)


@pytest.mark.parametrize(
    ("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)]
)
def test_a_busy_port_is_named_and_the_others_are_held(protocol, kind):
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((HERE, 0))
        if protocol == "tcp":
            holder.listen()
        busy, free = holder.getsockname()[1], free_port()
        with listening((HERE, protocol, busy), (HERE, "tcp", free)) as started:
            assert started.busy == [(HERE, protocol, busy)]
            assert ask_tcp(free) == SAID


def test_only_busy_ports_need_no_process():
    with socket.create_server((HERE, 0)) as holder:
        started = _listener.start([(HERE, "tcp", holder.getsockname()[1])], TOKEN, "server1", 20.0)
        assert started.processes == []


def test_an_address_that_is_not_the_hosts_is_an_error_and_leaves_no_process(monkeypatch):
    monkeypatch.setattr(_listener, "_files_per_process", lambda: 1)
    pids = []
    spawn = _listener._spawn

    def recorded(*arguments):
        process = spawn(*arguments)
        pids.append(process["pid"])
        return process

    monkeypatch.setattr(_listener, "_spawn", recorded)
    endpoints = [(HERE, "tcp", free_port()), ("192.0.2.1", "tcp", 6443)]
    with pytest.raises(OSError, match=r"192\.0\.2\.1 port 6443/tcp"):
        _listener.start(endpoints, TOKEN, "server1", 20.0)
    assert len(pids) == 1
    _pid, status = os.waitpid(pids[0], 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_stopping_ends_the_processes_and_frees_the_ports():
    port = free_port()
    with listening((HERE, "tcp", port)) as started:
        assert _listener.stop(started.processes) == 1
        os.waitpid(started.processes[0]["pid"], 0)
        with pytest.raises(ConnectionRefusedError):
            ask_tcp(port)
        assert _listener.stop(started.processes) == 0


def test_stopping_spares_a_process_number_in_new_hands():
    with listening((HERE, "tcp", free_port())) as started:
        (process,) = started.processes
        assert _listener.stop([{"pid": process["pid"], "started": process["started"] - 1}]) == 0
        assert _listener.start_time(process["pid"]) == process["started"]


def test_the_lease_ends_the_process():
    with listening((HERE, "tcp", free_port()), lease=0.2) as started:
        pid, status = os.waitpid(started.processes[0]["pid"], 0)
        assert os.WEXITSTATUS(status) == 0
        assert _listener.start_time(pid) is None


def files_of(pid):
    directory = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{directory}/{number}") for number in os.listdir(directory))


def test_a_process_carries_our_name_and_leaves_our_session():
    port = free_port()
    with listening((HERE, "tcp", port)) as started:
        ask_tcp(port)
        pid = started.processes[0]["pid"]
        with open(f"/proc/{pid}/comm", encoding="ascii") as stream:
            assert stream.read().strip() == "k3s-listener"
        assert os.readlink(f"/proc/{pid}/cwd") == "/"
        assert os.getsid(pid) == pid


def test_a_process_keeps_no_file_but_its_sockets():
    port = free_port(socket.SOCK_DGRAM)
    with open(__file__, encoding="utf-8"), listening((HERE, "udp", port)) as started:
        ask_udp(port, f"{TOKEN}\n".encode())
        kinds = [name.partition(":")[0] for name in files_of(started.processes[0]["pid"])]
        assert sorted(kinds) == ["/dev/null"] * 3 + ["anon_inode", "socket"]


def test_starting_leaves_no_file_open_here():
    before = open_files()
    with listening(*((HERE, "tcp", free_port()) for _number in range(5))):
        assert open_files() == before
    assert open_files() == before


def test_many_ports_are_shared_out_where_files_are_few(monkeypatch):
    monkeypatch.setattr(_listener, "_files_per_process", lambda: 4)
    holders = [socket.create_server((HERE, 0)) for _number in range(10)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    with listening(*((HERE, "tcp", port) for port in ports)) as started:
        assert len(started.processes) == 3
        assert [ask_tcp(port) for port in ports] == [SAID] * 10


@pytest.mark.parametrize(
    ("soft", "hard", "share"),
    [(1024, 4096, 1984), (256, 256, 64), (100, 100, 1), (1024, resource.RLIM_INFINITY, 8128)],
)
def test_half_of_the_files_are_left_for_connections(monkeypatch, soft, hard, share):
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, _limits: None)
    assert _listener._files_per_process() == share


def test_a_port_can_be_had_right_after_a_connection_to_it():
    port = free_port()
    for _time in range(2):
        with listening((HERE, "tcp", port)) as started:
            assert started.busy == []
            assert ask_tcp(port) == SAID


def test_the_start_time_tells_processes_apart():
    assert _listener.start_time(os.getpid()) <= time.clock_gettime(time.CLOCK_BOOTTIME) * 100 + 100
    assert _listener.start_time(2**22 + 1) is None
