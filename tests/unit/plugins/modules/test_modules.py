# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _default_route_host
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    DefaultRouteError,
    Host,
)
from ansible_collections.edgeops.k3s_network.plugins.modules import (
    default_route,
    firewalld_state,
    port_listener,
    port_probe,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.factories import (
    role_defaults,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.loopback import (
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


@pytest.mark.parametrize("name", ["interface", "address", "gateway", "metric", "backend", "state"])
def test_role_and_module_have_the_same_defaults(name):
    defaults = role_defaults("k3s_default_route")
    assert defaults[f"k3s_default_route_{name}"] == default_route.argument_spec()[name]["default"]


# default_route


def route_module(check_mode=False, **params):
    spec = default_route.argument_spec()
    given = {name: option["default"] for name, option in spec.items()}
    return SimpleNamespace(
        params={**given, **params}, check_mode=check_mode, run_command=lambda *_command: (1, "", "")
    )


@pytest.fixture
def applied(monkeypatch):
    """Give the module a host without a route, and record the plans that are carried out."""
    plans = []
    monkeypatch.setattr(
        _default_route_host, "read", lambda *_arguments: Host(routes=[], links={}, profile=None)
    )
    monkeypatch.setattr(
        _default_route_host, "apply", lambda _manager, plan, *_rest: plans.append(plan)
    )
    return plans


def test_a_route_that_is_needed_is_added_and_shown(applied):
    result = default_route.run(route_module())
    assert result["changed"]
    assert result["diff"]["before"] == ""
    assert "default via 203.0.113.255 dev dummy0 metric 1000\n" in result["diff"]["after"]
    assert len(applied) == 1


def test_check_mode_says_the_same_and_does_nothing(applied):
    told = default_route.run(route_module(check_mode=True))
    assert applied == []
    assert told == default_route.run(route_module())


def test_absent_without_a_route_of_ours_does_nothing(applied):
    assert not default_route.run(route_module(state="absent"))["changed"]
    assert applied == []


def test_bad_values_are_refused_before_anything_is_read(monkeypatch):
    monkeypatch.delattr(_default_route_host, "read")
    with pytest.raises(DefaultRouteError) as error:
        default_route.run(route_module(metric=-1, gateway="x"))
    assert "k3s_default_route_metric" in str(error.value)
    assert "k3s_default_route_gateway" in str(error.value)


# port_listener and port_probe


def test_listener_and_probe_understand_each_other():
    port = free_port()
    started = port_listener.run(
        {
            "state": "started",
            "listeners": [{"address": HERE, "protocol": "tcp", "ports": [str(port)]}],
            "token": TOKEN,
            "name": "server1",
            "lease": 20,
        }
    )
    try:
        target = {"destination": "server1", "address": HERE, "protocol": "tcp"}
        result = port_probe.run(
            {"token": TOKEN, "timeout": 0.5, "targets": [{**target, "ports": [str(port)]}]}
        )
    finally:
        stopped = port_listener.run({"state": "stopped", "processes": started["processes"]})
        os.waitpid(started["processes"][0]["pid"], 0)
    assert started["busy"] == []
    assert stopped["stopped"] == 1
    assert result["sources"] == {HERE: HERE}
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


def test_a_busy_port_is_returned_in_words():
    port = free_port()
    with listening((HERE, "tcp", port)):
        result = port_listener.run(
            {
                "state": "started",
                "listeners": [{"address": HERE, "protocol": "tcp", "ports": [str(port)]}],
                "token": TOKEN,
                "name": "server1",
                "lease": 20,
            }
        )
    assert result["busy"] == [{"address": HERE, "protocol": "tcp", "port": port}]
    assert result["processes"] == []


def test_a_probe_refuses_what_is_no_port():
    target = {"destination": "s", "address": HERE, "protocol": "tcp", "ports": ["70000"]}
    with pytest.raises(ValueError, match="70000"):
        port_probe.run({"token": TOKEN, "timeout": 1, "targets": [target]})
