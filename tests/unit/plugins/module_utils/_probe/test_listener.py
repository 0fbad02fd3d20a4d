# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import struct
import time

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import arp as probe_arp
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener, wire
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    MESSAGES,
    THERE,
    TOKEN,
    ask_tcp,
    free_port,
    listening,
    open_files,
    some_free_ports,
    with_limit_of_files,
)

QUESTION = MESSAGES.question("udp", 1, bytes(16), wire.ANSWER_MAX)


def said(port):
    return wire.Speaker(port, "server1")


def ask_udp(port, data, address=HERE):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.sendto(data, (address, port))
        return sock.recv(512)


def test_a_tcp_question_is_answered_again_and_again():
    port = free_port()
    with listening((HERE, "tcp", port)):
        assert [ask_tcp(port), ask_tcp(port)] == [said(port)] * 2


def test_a_udp_question_of_the_run_is_answered():
    port = free_port(socket.SOCK_DGRAM)
    with listening((HERE, "udp", port)):
        answer = ask_udp(port, QUESTION)
        assert len(answer) == len(QUESTION)
        assert MESSAGES.read_answer(answer, QUESTION) == said(port)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\n",
        TOKEN.encode() + b"\n",
        wire.Messages("f" * 32).question("udp", 1, bytes(16), wire.ANSWER_MAX),
        MESSAGES.question("tcp", 1, bytes(16), wire.ANSWER_MAX),
        QUESTION[:-1],
    ],
)
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
            assert ask_tcp(free) == said(free)


def test_only_busy_ports_need_no_process():
    with socket.create_server((HERE, 0)) as holder:
        started = listener.start([(HERE, "tcp", holder.getsockname()[1])], TOKEN, "server1", 20.0)
        assert started.processes == []


def test_an_address_that_is_not_the_hosts_is_named_and_the_others_are_held():
    port = free_port()
    there = [("192.0.2.1", "tcp", number) for number in (6443, 6444)]
    with listening((HERE, "tcp", port), *there) as started:
        reason = "it does not have the address 192.0.2.1: see k3s_topology_node_ip"
        assert started.errors == [(endpoint, reason) for endpoint in there]
        assert listener.merged(started.errors) == [("192.0.2.1", "tcp", 6443, 6444, reason)]
        assert ask_tcp(port) == said(port)


def test_troubles_of_other_ports_or_reasons_are_apart():
    errors = [((HERE, "tcp", port), reason) for port, reason in [(1, "a"), (2, "b"), (4, "b")]]
    errors.append(((HERE, "udp", 5), "b"))
    assert listener.merged(errors) == [
        (HERE, "tcp", 1, 1, "a"),
        (HERE, "tcp", 2, 2, "b"),
        (HERE, "tcp", 4, 4, "b"),
        (HERE, "udp", 5, 5, "b"),
    ]


def test_where_files_are_few_the_ports_without_one_are_named():
    def few():
        # Others of the module hold files as well.
        for _number in range(80):
            os.open(os.devnull, os.O_RDONLY)
        started = listener.start(endpoints, TOKEN, "server1", 20.0)
        listener.stop(started.processes)
        return len(started.errors), started.errors[0][1]

    endpoints = [(HERE, "tcp", port) for port in some_free_ports(40)]
    errors, reason = with_limit_of_files(100, few)
    assert 0 < errors < 40
    assert "no free file descriptors (a process may have 100;" in reason


def test_processes_that_can_not_be_are_an_error_and_none_is_left(monkeypatch):
    monkeypatch.setattr(listener, "limit_of_files", lambda _wanted: 65)
    pids = []
    spawn = listener._spawn

    def recorded(*arguments, **others):
        if pids:
            raise BlockingIOError
        pids.append(spawn(*arguments, **others)["pid"])
        return {"pid": pids[0], "started": listener.start_time(pids[0])}

    monkeypatch.setattr(listener, "_spawn", recorded)
    with pytest.raises(BlockingIOError):
        listener.start([(HERE, "tcp", port) for port in some_free_ports(2)], TOKEN, "s", 20.0)
    _pid, status = os.waitpid(pids[0], 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_stopping_ends_the_processes_and_frees_the_ports():
    port = free_port()
    with listening((HERE, "tcp", port)) as started:
        assert listener.stop(started.processes) == 1
        os.waitpid(started.processes[0]["pid"], 0)
        with pytest.raises(ConnectionRefusedError):
            ask_tcp(port)
        assert listener.stop(started.processes) == 0


def test_stopping_spares_a_process_number_in_new_hands():
    with listening((HERE, "tcp", free_port())) as started:
        (process,) = started.processes
        assert listener.stop([{"pid": process["pid"], "started": process["started"] - 1}]) == 0
        assert listener.start_time(process["pid"]) == process["started"]


def test_the_lease_ends_the_process():
    with listening((HERE, "tcp", free_port()), lease=0.2) as started:
        pid, status = os.waitpid(started.processes[0]["pid"], 0)
        assert os.WEXITSTATUS(status) == 0
        assert listener.start_time(pid) is None


def test_a_renewed_lease_counts_from_then_on():
    port = free_port()
    with listening((HERE, "tcp", port), lease=5) as started:
        begun = time.monotonic()
        time.sleep(1)
        assert listener.renew(started.processes) == []
        assert ask_tcp(port) == said(port)
        os.waitpid(started.processes[0]["pid"], 0)
        assert time.monotonic() - begun > 5.5


def test_renewing_names_those_that_are_gone_and_spares_a_number_in_new_hands():
    with listening((HERE, "tcp", free_port())) as started:
        (process,) = started.processes
        other = {"pid": process["pid"], "started": process["started"] - 1}
        assert listener.renew([other]) == [process["pid"]]
        listener.stop([process])
        os.waitid(os.P_PID, process["pid"], os.WEXITED | os.WNOWAIT)
        assert listener.renew([process]) == [process["pid"]]


def test_a_listener_without_files_for_connections_ends():
    with listening((HERE, "tcp", port := free_port())) as started:
        pid = started.processes[0]["pid"]
        ask_tcp(port)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))
        # It may have ended before it was connected to.
        with contextlib.suppress(ConnectionError):
            socket.create_connection((HERE, port), timeout=2).close()
        assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 1


def files_of(pid):
    directory = f"/proc/{pid}/fd"
    return sorted(os.readlink(f"{directory}/{number}") for number in os.listdir(directory))


def test_a_terminal_that_closes_takes_no_process_with_it():
    # As for a module that ends before its child has left the session.
    for _again in range(10):
        with listening((HERE, "tcp", port := free_port())) as started:
            os.kill(started.processes[0]["pid"], signal.SIGHUP)
            ask_tcp(port)
    assert signal.SIGHUP not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


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
        ask_udp(port, QUESTION)
        kinds = [name.partition(":")[0] for name in files_of(started.processes[0]["pid"])]
        assert sorted(kinds) == ["/dev/null"] * 3 + ["anon_inode"] * 2 + ["socket"]


@contextlib.contextmanager
def watched(own):
    """Run a listener that watches a socket, and yield its port, both sockets and the processes."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    watch = probe_arp.Watch([], [])
    watch._own[near] = own
    port = free_port()
    started = listener.start([(HERE, "tcp", port)], TOKEN, "server1", 20.0, (), watch)
    try:
        yield port, near, far, started.processes
    finally:
        far.close()
        listener.stop(started.processes)
        for process in started.processes:
            os.waitpid(process["pid"], 0)


def test_the_first_process_watches_for_duplicate_addresses_and_notes_them():
    own = probe_arp.Own(HERE, "eth0", "52:54:00:00:00:01")
    with watched(own) as (port, near, far, processes):
        assert near.fileno() == -1
        pids = [process["pid"] for process in processes]
        arp = 1, 0x0800, 6, 4, 2, b"\2" * 6, socket.inet_aton(HERE)
        far.send(struct.pack("!14xHHBBH6s4s10x", *arp))
        assert ask_tcp(port) == said(port)
        deadline = time.monotonic() + 10
        found = {}
        while not found and time.monotonic() < deadline:
            followed = probe_arp.follow(pids)
            found = followed.found() if followed else {}
        assert found == {HERE: ["02:02:02:02:02:02"]}
        far.settimeout(10)
        assert listener.renew(processes) == []
        # Asked once more, since a host may come later.
        assert far.recv(100) == probe_arp.question(own)


def test_without_a_file_for_notes_the_listeners_answer_all_the_same(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    own = probe_arp.Own(HERE, "eth0", "52:54:00:00:00:01")
    with watched(own) as (port, _near, far, processes):
        far.send(b"noise")
        assert ask_tcp(port) == said(port)
        assert probe_arp.follow(one["pid"] for one in processes) is None


def test_starting_leaves_no_file_open_here():
    before = open_files()
    with listening(*((HERE, "tcp", free_port()) for _number in range(5))):
        assert open_files() == before
    assert open_files() == before


def test_many_ports_are_shared_out_where_files_are_few():
    def few():
        started = listener.start([(HERE, "tcp", p) for p in ports], TOKEN, "server1", 20.0)
        try:
            return len(started.processes), [ask_tcp(port) for port in ports]
        finally:
            listener.stop(started.processes)

    ports = some_free_ports(10)
    assert with_limit_of_files(68, few) == (3, [said(port) for port in ports])


def test_more_ports_than_a_process_may_have_files_are_held():
    def few():
        ports = range(10000, 12000)
        started = listener.start([(THERE, "tcp", p) for p in ports], TOKEN, "server1", 20.0)
        try:
            busy = {port for _address, _tcp, port in started.busy}
            right = [ask_tcp(port, THERE) == said(port) for port in ports if port not in busy]
            return len(started.processes), started.errors, all(right)
        finally:
            listener.stop(started.processes)

    assert with_limit_of_files(1024, few) == (3, [], True)


@pytest.mark.parametrize(
    ("soft", "hard", "limit"),
    [
        (1024, 4096, 4096),
        (256, 256, 256),
        (20000, 20000, 16384),
        (1024, resource.RLIM_INFINITY, 16384),
    ],
)
def test_the_limit_of_files_is_raised_as_far_as_that_goes(monkeypatch, soft, hard, limit):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: asked.append(limits))
    assert listener.limit_of_files(16384) == limit
    assert asked == ([(limit, hard)] if soft < limit else [])


def test_a_large_range_is_shared_out_evenly():
    shares = listener._shares([(HERE, "tcp", port) for port in range(10000, 30001)])
    sizes = [len(share) for share in shares]
    assert len(sizes) >= 2
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == 20001


def test_a_port_can_be_had_right_after_a_connection_to_it():
    port = free_port()
    for _time in range(2):
        with listening((HERE, "tcp", port)) as started:
            assert started.busy == []
            assert ask_tcp(port) == said(port)


def test_the_start_time_tells_processes_apart():
    assert listener.start_time(os.getpid()) <= time.clock_gettime(time.CLOCK_BOOTTIME) * 100 + 100
    assert listener.start_time(2**22 + 1) is None
