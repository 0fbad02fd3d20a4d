# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import stat

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    apply as default_route_apply,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.apply import (
    apply,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import (
    BACKENDS,
    Wanted,
    files,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.plan import (
    DefaultRouteError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    SshConnection,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.lock import lock
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.config import (
    PATH as K3S_CONFIG,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.config import K3sConfigError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe import listener
from ansible_collections.edgeops.k3s_network.plugins.modules import (
    default_route,
    firewalld_state,
    port_listener,
    port_probe,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    role_defaults,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_node import (
    PEER,
    FakeNode,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.loopback import (
    HERE,
    TOKEN,
    free_port,
    listening,
)

MODULES = [default_route, firewalld_state, port_listener, port_probe]


def assert_documented(documented, spec):
    assert set(documented) == set(spec)
    for name, option in spec.items():
        about = documented[name]
        assert about["type"] == option.get("type", "str"), name
        assert about.get("default") == option.get("default"), name
        assert about.get("choices") == option.get("choices"), name
        assert about.get("elements") == option.get("elements"), name
        assert about.get("required", False) == option.get("required", False), name
        if "options" in option:
            assert_documented(about["suboptions"], option["options"])


@pytest.mark.parametrize("module", MODULES)
def test_the_documentation_is_that_of_the_argument_spec(module):
    documented = yaml.safe_load(module.DOCUMENTATION)
    assert documented["module"] == module.__name__.rpartition(".")[2]
    assert_documented(documented["options"], module.argument_spec())


@pytest.mark.parametrize(
    "name", ["interface", "address", "gateway", "metric", "backend", "state", "k3s_config"]
)
def test_role_and_module_have_the_same_defaults(name):
    defaults = role_defaults("k3s_default_route")
    assert defaults[f"k3s_default_route_{name}"] == default_route.argument_spec()[name]["default"]


# default_route


ROUTE = "default via 203.0.113.255 dev dummy0 metric 1000"
TOLD = "node-ip: '192.0.2.11'\nflannel-iface: 'eth0'\n"
DUMMY = {"interface": "dummy0", "address": "203.0.113.254", "flannel_interface": "dummy0"}
NOTHING = {"interface": "", "address": "", "flannel_interface": ""}
ETH0 = {"interface": "eth0", "address": "192.0.2.11", "flannel_interface": "eth0"}
REAL = {"gateway": "192.0.2.1", "dev": "eth0", "metric": 100}


@pytest.fixture(params=BACKENDS)
def node(request, tmp_path, monkeypatch):
    """Return a node without a default route that takes the place of this host."""
    node = FakeNode(tmp_path, request.param)
    node.install(monkeypatch)
    return node


def route(node, check_mode=False, **params):
    spec = default_route.argument_spec()
    given = {name: option.get("default") for name, option in spec.items()}
    cluster = {"node_ip": "192.0.2.11", "flannel_interface": "eth0"}
    return apply(node, {**given, **cluster, **params}, check_mode)


def shown(result):
    """Return the differences by what they are about."""
    for one in result["diff"]:
        assert one["before_header"] == one["after_header"]
        assert one["before"] != one["after"]
    return {one["before_header"]: (one["before"], one["after"]) for one in result["diff"]}


def test_a_route_that_is_needed_is_added_and_shown(node):
    result = route(node)
    assert result["changed"]
    assert result["backend"] == node.manager
    assert result["default_routes"] == []
    assert result["k3s_detects"] == DUMMY
    [warning] = result["warned"]
    assert "203.0.113.254 of the dummy interface dummy0" in warning
    assert node.lines() == [ROUTE]
    assert node.text(K3S_CONFIG).endswith(TOLD)
    diff = shown(result)
    assert diff.pop("ip -4 route show default") == ("", f"{ROUTE}\n")
    assert diff.pop(K3S_CONFIG) == ("", node.text(K3S_CONFIG))
    wanted = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
    assert diff == {
        file.path: ("", f"link to {file.text}\n" if file.link else file.text)
        for file in files(node.manager, wanted)
    }


def test_check_mode_says_the_same_and_does_nothing(node):
    before = node.state()
    told = route(node, check_mode=True)
    assert node.log == []
    assert node.state() == before
    assert told == route(node)


def test_check_mode_says_the_same_of_a_removal(node):
    route(node)
    node.log.clear()
    told = route(node, check_mode=True, state="absent")
    assert node.log == []
    assert told == route(node, state="absent")


def test_a_second_run_changes_nothing_and_shows_nothing(node):
    route(node)
    node.log.clear()
    result = route(node)
    assert not result["changed"]
    assert result["diff"] == []
    assert result["default_routes"] == [ROUTE]
    assert result["backend"] == node.manager
    assert result["k3s_detects"] == DUMMY
    assert node.log == []


def test_k3s_is_told_before_there_is_a_route_to_mislead_it(node):
    route(node)
    assert node.log[0] == f"write {K3S_CONFIG}"


def test_a_real_route_that_has_come_sends_ours_away(node):
    route(node)
    node.add_route(**REAL)
    result = route(node)
    assert result["changed"]
    assert result["backend"] == ""
    assert result["k3s_detects"] == ETH0
    assert node.text(K3S_CONFIG) is None
    diff = shown(result)
    line = "default via 192.0.2.1 dev eth0 metric 100\n"
    assert diff["ip -4 route show default"] == (f"{line}{ROUTE}\n", line)
    assert all(after == "" for path, (_before, after) in diff.items() if path[0] == "/")
    assert not route(node)["changed"]


def test_absent_leaves_nothing_of_ours(node):
    before = node.state()
    route(node)
    result = route(node, state="absent")
    assert result["changed"]
    assert (result["backend"], result["k3s_detects"]) == ("", NOTHING)
    assert node.state() == before
    assert not route(node, state="absent")["changed"]


def test_absent_without_a_route_of_ours_does_nothing(node):
    result = route(node, state="absent")
    assert not result["changed"]
    assert result["diff"] == []
    assert node.log == []


def test_absent_leaves_what_is_not_ours(node):
    node.make_by_hand()
    before = node.state()
    assert not route(node, state="absent")["changed"]
    assert node.state() == before


@pytest.mark.parametrize("params", [{"k3s_config": False}, {"node_ip": None}])
def test_k3s_is_told_nothing_where_that_is_switched_off_or_unknown(node, params):
    result = route(node, **params)
    assert result["changed"]
    assert node.text(K3S_CONFIG) is None
    assert K3S_CONFIG not in shown(result)
    assert not route(node, **params)["changed"]


def test_what_k3s_is_told_follows_the_node_without_touching_the_route(node):
    route(node)
    node.log.clear()
    result = route(node, node_ip="192.0.2.12")
    assert result["changed"]
    assert node.log == [f"write {K3S_CONFIG}"]
    assert set(shown(result)) == {K3S_CONFIG}


@pytest.mark.parametrize(
    "changed",
    [
        {"metric": 500},
        {"interface": "k3s0"},
        {"address": "198.51.100.0/31", "gateway": "198.51.100.1"},
    ],
)
def test_k3s_stays_told_where_other_values_take_the_place_of_the_former_ones(node, changed):
    route(node)
    text = node.text(K3S_CONFIG)
    result = route(node, **changed)
    assert result["changed"]
    assert result["warned"] == []
    assert node.text(K3S_CONFIG) == text
    assert not route(node, **changed)["changed"]


def test_k3s_is_told_of_a_route_made_by_hand_as_well(node):
    node.make_by_hand()
    route(node)
    assert node.text(K3S_CONFIG).endswith(TOLD)
    result = route(node, state="absent")
    assert result["changed"]
    assert node.lines() == [ROUTE]
    assert node.text(K3S_CONFIG) is None


def fails(node, check_mode=False, **params):
    with pytest.raises(DefaultRouteError) as error:
        route(node, check_mode, **params)
    return str(error.value)


def test_what_fails_leaves_k3s_untold(node):
    before = node.state()
    node.deaf = True
    assert "did not come" in fails(node)
    assert node.state() == before


def test_what_fails_leaves_k3s_told_what_it_was_told_before(node):
    route(node)
    before = node.state()
    node.failing["systemctl daemon-reload"] = (1, "", "no such luck")
    assert "no such luck" in fails(node, metric=500, node_ip="192.0.2.12")
    assert node.text(K3S_CONFIG) == before[K3S_CONFIG][0]


def test_a_k3s_that_runs_with_another_address_stops_the_run_before_anything_is_written(node):
    before = node.state()
    with pytest.raises(K3sConfigError, match="etcd member can't"):
        route(node, k3s={"installed": ["198.51.100.7"]})
    assert node.log == []
    assert node.state() == before


def test_removal_without_a_record_keeps_the_address_of_a_k3s_that_has_run(node):
    route(node)
    os.makedirs(node.at("/var/lib/rancher/k3s/agent"))
    result = route(node, state="absent")
    assert node.text(K3S_CONFIG).endswith(TOLD)
    assert "stays: K3s runs with an unknown address" in " ".join(result["warned"])


def test_a_disk_that_is_full_is_an_error_of_its_own(node, monkeypatch):
    before = node.state()

    def full(_path, *_rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default_route_apply, "write_file", full)
    assert "No space left" in fails(node)
    assert {key: what for key, what in node.state().items() if key in before} == before


def test_bad_values_are_refused_before_anything_is_read(node):
    message = fails(node, metric=-1, gateway="x")
    assert "k3s_default_route_metric" in message
    assert "k3s_default_route_gateway" in message
    assert node.asked == []


def test_the_connection_that_ansible_came_by_is_kept(node, monkeypatch):
    before = node.state()
    monkeypatch.setattr(
        default_route_apply, "ssh_connection", lambda: SshConnection(PEER, "192.0.2.11", 22)
    )
    node.way = lambda: {"dst": PEER, "dev": "dummy0" if node.main() else "eth0"}
    assert "led over eth0 before, and over dummy0" in fails(node)
    assert node.state() == before


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_each_directory_has_its_mode_whatever_the_umask(node, umask):
    shutil.rmtree(node.at("/etc/systemd"))
    before = os.umask(umask)
    try:
        route(node)
    finally:
        os.umask(before)
    paths = ["/etc/systemd/system", *map(os.path.dirname, [K3S_CONFIG, *node.tree()])]
    for path in paths:
        if path.startswith(("/etc/systemd", "/etc/rancher")):
            assert stat.S_IMODE(os.stat(node.at(path)).st_mode) == 0o755, path
    assert "/etc/rancher/k3s/config.yaml.d" in paths


def test_another_controller_is_waited_for_and_then_named(node, monkeypatch):
    monkeypatch.setattr(default_route_apply, "_PATIENCE_SECONDS", 0.1)
    before = node.state()
    handle = lock(node.at("/etc"), wait=False)
    for check_mode in (False, True):
        message = fails(node, check_mode=check_mode)
        assert message.startswith("No changes were made. Another run is changing this node's")
        assert "lslocks" in message
    assert (node.log, node.asked, node.state()) == ([], [], before)
    os.close(handle)
    assert route(node)["changed"]


def test_one_run_at_a_time_changes_the_route(node):
    busy = []

    def command(arguments):
        busy.append(lock(node.at("/etc"), wait=False))
        return node(arguments)

    route(command)
    assert busy
    assert set(busy) == {None}


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_read_only_path_is_named_before_a_change(node, state, check_mode):
    if state == "absent":
        route(node)
    # What it writes, or removes.
    node.read_only = {path for path, what in shown(route(node, True, state=state)).items()}
    node.log.clear()
    before = node.state()
    message = fails(node, check_mode, state=state)
    assert message.startswith("No changes were made. Read-only on this node: /")
    assert K3S_CONFIG in message
    assert "remount,rw" in message
    assert (node.log, node.state()) == ([], before)


def test_a_read_only_path_does_not_matter_without_a_change(node):
    assert not route(node, state="absent")["changed"]
    route(node)
    node.read_only = {*node.tree(), K3S_CONFIG}
    assert not route(node)["changed"]


def test_a_file_that_cannot_be_removed_is_named_with_a_remedy(node, monkeypatch):
    route(node)

    def refuse(path):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(default_route_apply, "remove_file", refuse)
    message = fails(node, state="absent")
    assert K3S_CONFIG in message
    assert "Check that the file system is writable" in message


def test_a_config_that_cannot_be_restored_is_reported_beside_the_cause(node, monkeypatch):
    node.deaf = True
    remove = default_route_apply.remove_file

    def refuse(path):
        if node.lines() == [] and path == K3S_CONFIG:
            raise OSError(5, "Input/output error", path)
        remove(path)

    monkeypatch.setattr(default_route_apply, "remove_file", refuse)
    message = fails(node)
    assert "did not come" in message
    assert f"{K3S_CONFIG} could not be restored: [Errno 5] Input/output error" in message


class Ended(BaseException):
    """The end of a module."""


class FakeModule:
    """Takes the place of AnsibleModule, and keeps what the module does with it."""

    check_mode = False

    def __init__(self, argument_spec, **others):
        self.params = {name: option.get("default") for name, option in argument_spec.items()}
        self.others, self.warned = others, []
        self.warn = self.warned.append

    def run_command(self, *_arguments, **_options):
        raise AssertionError("the module itself runs nothing")

    def exit_json(self, **result):
        self.result = result
        raise Ended

    fail_json = exit_json


@pytest.fixture
def main(monkeypatch):
    """Return a function that runs main() with a result or error of apply()."""

    def run_main(result=None, error=None, during=None):
        modules = []

        def module(**about):
            modules.append(FakeModule(**about))
            return modules[0]

        def brought(run_command, *_arguments):
            if during:
                during(run_command)
            if error:
                raise error
            return result

        monkeypatch.setattr(default_route, "AnsibleModule", module)
        monkeypatch.setattr(default_route, "apply", brought)
        with pytest.raises(Ended):
            default_route.main()
        return modules[0]

    return run_main


def test_the_node_ip_is_of_no_use_without_its_interface(main):
    module = main({"changed": False, "warned": []})
    assert module.others == {
        "required_by": {"node_ip": "flannel_interface"},
        "supports_check_mode": True,
    }


def test_what_it_warns_of_is_returned_as_well(main):
    module = main({"changed": True, "warned": ["one", "two"]})
    assert module.warned == ["one", "two"]
    assert module.result == {"changed": True, "warned": ["one", "two"]}


def test_a_missing_command_does_not_end_the_module(monkeypatch, main):
    """AnsibleModule.run_command would, with SystemExit, past every rollback."""

    def run_command(_module, _arguments, handle_exceptions=True, **_others):
        if handle_exceptions:
            raise SystemExit(1)
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(FakeModule, "run_command", run_command)
    answers = []
    main(during=lambda run: answers.append(run(["ip", "link"])), error=DefaultRouteError("x"))
    assert answers == [(127, "", "ip: No such file or directory\n")]


@pytest.mark.parametrize("kind", [DefaultRouteError, K3sConfigError])
def test_what_can_not_be_done_is_told_without_a_traceback(main, kind):
    assert main(error=kind("so it is")).result == {"msg": "so it is"}


# port_listener and port_probe


def started(*listeners, services=(), listen=True):
    """Return what port_listener returns, for (address, ports)."""
    return port_listener.run(
        {
            "state": "started",
            "listeners": [
                {"address": address, "protocol": "tcp", "ports": ports, "services": list(services)}
                for address, ports in listeners
            ],
            "listen": listen,
            "token": TOKEN,
            "name": "server1",
            "lease": 20,
        }
    )


def end(process):
    """Stop a listener, and return how many were running."""
    stopped = listener.stop([process])
    os.waitpid(process["pid"], 0)
    return stopped


def probed(*ports, renew=(), timeout=0.5):
    """Return what port_probe returns."""
    target = {"destination": "server1", "address": HERE, "protocol": "tcp", "full_size": True}
    targets = [{**target, "ports": [str(port) for port in ports]}]
    return port_probe.run(
        {"token": TOKEN, "timeout": timeout, "targets": targets, "renew": list(renew)}
    )


def test_listener_and_probe_understand_each_other():
    port = free_port()
    result_of_start = started((HERE, [str(port)]))
    (process,) = result_of_start["processes"]
    try:
        result = probed(port, renew=[process])
    finally:
        stopped = end(process)
    assert (result_of_start["busy"], result_of_start["errors"]) == ([], [])
    assert stopped == 1
    assert result["sources"] == {HERE: HERE}
    assert result["ended"] == []
    assert result["results"] == [
        {
            "address": HERE,
            "protocol": "tcp",
            "first": port,
            "last": port,
            "observed": "open",
            "detail": "",
        }
    ]
    assert probed(port, renew=[process])["ended"] == [process["pid"]]


def test_ports_that_can_not_be_had_are_returned_in_words():
    result = started(("192.0.2.1", ["9500-9503"]))
    assert result["processes"] == []
    assert result["errors"] == [
        {
            "address": "192.0.2.1",
            "protocol": "tcp",
            "first": 9500,
            "last": 9503,
            "detail": "it does not have the address 192.0.2.1: see k3s_topology_node_ip",
        }
    ]


def test_a_busy_port_is_returned_in_words():
    port = free_port()
    with listening((HERE, "tcp", port)):
        result = started((HERE, [str(port)]))
    assert result["busy"] == [{"address": HERE, "protocol": "tcp", "port": port}]
    assert result["processes"] == []


def test_nothing_listens_in_place_of_a_service_that_listens_elsewhere():
    port = free_port()
    with listening(("127.0.0.2", "tcp", port)):
        result = started((HERE, [str(port)]), services=[str(port)])
        other = started((HERE, [str(port)]))
    assert result["bound_elsewhere"] == [
        {"address": HERE, "protocol": "tcp", "port": port, "held_at": ["127.0.0.2"]}
    ]
    assert (result["busy"], result["processes"]) == ([], [])
    # Not meant to be a service, it may be anything's.
    assert other["bound_elsewhere"] == []
    (process,) = other["processes"]
    end(process)


def test_what_is_held_is_told_without_listening():
    port, free = free_port(), free_port()
    with listening((HERE, "tcp", port)):
        result = started((HERE, [str(port), str(free)]), listen=False)
    assert result["busy"] == [{"address": HERE, "protocol": "tcp", "port": port}]
    assert result["processes"] == []


def test_a_probe_refuses_what_is_no_port():
    with pytest.raises(ValueError, match="70000"):
        probed(70000)


def test_a_probe_refuses_a_timeout_of_nothing():
    with pytest.raises(ValueError, match="k3s_connectivity_probe_timeout is 0"):
        probed(80, timeout=0)
