# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that fails, is killed, or is not confirmed, at each of its writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional
from unittest.mock import Mock

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import (
    write as firewalld_write,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.checkpoint import (
    Checkpoint,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.dbus import Firewalld
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import Record
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    IPSET,
    KINDS,
    POLICY,
    VERSIONS,
    ZONE,
    Killed,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.prepared_host import (
    HOSTS,
    Host,
    Seen,
    managed_host,
    plain_host,
    wanted,
)

BAN = 'rule family="ipv4" source address="198.51.100.66" drop'
STEPS = [
    ((), "shared"),
    ((), "plain"),
    ((), "segregated"),
    (("segregated",), None),
    (("plain",), None),
    (("plain",), "segregated"),
    (("segregated",), "shared"),
]


@dataclass(frozen=True)
class Step:
    """A run to break, on a host that other runs have prepared."""

    version: str
    make_host: Callable[[str], Host]
    earlier: tuple[str, ...]
    last: Optional[str]

    def prepare(self):
        """Return a host on which other software has changed the runtime only."""
        host = self.make_host(self.version)
        for mode in self.earlier:
            host.run(wanted(mode))
        host.daemon.run_only(ZONE, "public", rules_str=[BAN])
        host.call(".zone", "changeZoneOfInterface", "home", "docker0")
        host.daemon.tables = {"iptables-save": "*nat"}
        return host

    def run(self, host, **options):
        return host.run(self.last and wanted(self.last), **options)

    def __str__(self):
        steps = "-".join([*self.earlier, self.last or "absent"])
        return f"{self.version}-{self.make_host.__name__}-{steps}"


@dataclass(frozen=True)
class Broken:
    """A run that ended at one of its writes."""

    host: Host
    write: str
    message: str
    before: Seen
    """What was to be seen before the run."""
    whole: Seen
    """What is to be seen after a run that nothing breaks."""


# Every step on one generation, the first ones on each.
ALL_STEPS = [Step("1.3.3", make_host, *step) for make_host in HOSTS for step in STEPS]
FIRST_STEPS = [
    Step(version, make_host, (), mode)
    for version in VERSIONS
    for make_host, mode in (
        (plain_host, "shared"),
        (plain_host, "segregated"),
        (managed_host, "segregated"),
    )
]
BROKEN = list(dict.fromkeys([*ALL_STEPS, *FIRST_STEPS]))
KILLED = [step for step in BROKEN if step in ALL_STEPS or step.make_host is managed_host]


def broken_runs(step, kill=False, applied=False):
    """Yield a run that was broken at each of its writes.

    Killed after a write is the same as killed before the next one.
    """
    host = step.prepare()
    before, saved, start = host.seen(), host.save(), len(host.writes)
    step.run(host)
    whole, names = host.seen(), host.writes[start:]
    assert names
    for number, name in enumerate(names, start + 1):
        host.load(saved)
        host.daemon.fail_at, host.daemon.applied, host.daemon.kill = number, applied, kill
        with pytest.raises(Killed if kill else FirewalldError) as error:
            step.run(host, confirm_timeout=60)
        assert host.writes[number - 1] == name
        host.daemon.fail_at = 0
        yield Broken(host, name, str(error.value), before, whole)


def without_unnamed_ipsets(seen):
    """Leave out ipsets that stay in the runtime until firewalld reloads, as no rule names them."""
    running = dict(seen["running"])
    saved = seen["saved"][IPSET]
    running[IPSET] = {name: one for name, one in running[IPSET].items() if name in saved}
    return {**seen, "running": running}


def created(host):
    """Return the objects with names of the collection in the permanent configuration."""
    return {
        (kind, name)
        for kind in KINDS
        for name in host.daemon.permanent(kind)
        if name.startswith("k3s-")
    }


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("step", BROKEN, ids=str)
def test_failure_at_any_write_leaves_the_old_state(step, applied):
    for broken in broken_runs(step, applied=applied):
        assert "Message recipient is gone" in broken.message
        assert "was rolled back" in broken.message
        assert broken.host.seen() == broken.before, broken.write
        assert broken.host.guard.checkpoint is None


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("step", KILLED, ids=str)
def test_guardian_rolls_back_a_run_killed_at_any_write(step, reboot):
    for broken in broken_runs(step, kill=True, applied=True):
        host = broken.host
        assert created(host) <= host.store.record.objects, broken.write
        if reboot:
            host.reboot()
        host.expire()
        now = without_unnamed_ipsets(host.seen())
        if reboot:
            # Other software creates its rules again.
            now["tables"] = broken.before["tables"]
        assert now == broken.before, broken.write


@pytest.mark.parametrize("step", ALL_STEPS, ids=str)
def test_run_after_a_killed_one_converges(step):
    for broken in broken_runs(step, kill=True, applied=True):
        broken.host.expire()
        step.run(broken.host)
        assert broken.host.seen() == broken.whole, broken.write
        assert not step.run(broken.host)["changed"]


def killed_at_the_end(step):
    """Return a run that was killed after its last write."""
    killed = list(broken_runs(step, kill=True, applied=True))[-1]
    killed.host.daemon.kill = killed.host.daemon.applied = False
    return killed


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_rollback_that_fails_at_any_write_is_repeated(version, applied):
    killed = killed_at_the_end(Step(version, plain_host, (), "segregated"))
    host = killed.host
    saved, start = host.save(), len(host.writes)
    host.expire()
    names = host.writes[start:]
    assert names
    for number, name in enumerate(names, start + 1):
        host.load(saved)
        host.daemon.fail_at, host.daemon.applied = number, applied
        with contextlib.suppress(FirewalldError):
            host.expire()
        host.daemon.fail_at = 0
        host.expire()
        assert without_unnamed_ipsets(host.seen()) == killed.before, name


@pytest.mark.parametrize("version", VERSIONS)
def test_rollback_after_a_half_bound_profile_is_complete(version):
    """The rollback has written the profile, and the device does not follow it at once."""
    killed = killed_at_the_end(Step(version, managed_host, (), "segregated"))
    host = killed.host
    host.daemon.fail_at = len(host.writes) + 2
    host.expire()
    assert "device eth0 internal" in host.writes
    host.call("", "reload")
    assert host.call(".zone", "getZoneOfInterface", "eth0") == "internal"


@pytest.mark.parametrize("version", VERSIONS)
def test_rollback_survives_one_error_of_firewalld(version):
    killed = killed_at_the_end(Step(version, plain_host, (), "shared"))
    host = killed.host
    host.daemon.fail_at = len(host.writes) + 1
    host.expire()
    assert len(host.writes) > host.daemon.fail_at
    assert host.seen() == killed.before


@pytest.mark.parametrize("version", VERSIONS)
def test_failed_rollback_is_left_to_the_guardian(version, monkeypatch):
    host = managed_host(version)
    before = host.seen()
    reload = Firewalld.reload

    def die(client):
        host.daemon.stop()
        reload(client)

    with monkeypatch.context() as patch:
        patch.setattr(Firewalld, "reload", die)
        with pytest.raises(FirewalldError) as error:
            host.run(wanted("segregated"))
    assert "could not be rolled back yet (firewalld is not running)" in str(error.value)
    assert "the node keeps trying by itself" in str(error.value)
    host.daemon.reboot()
    host.expire()
    assert host.seen() == before


@pytest.mark.parametrize("version", VERSIONS)
def test_result_that_reads_back_wrong_is_rolled_back(version, monkeypatch):
    host = managed_host(version)
    before = host.seen()
    keys = Firewalld.runtime_keys
    missing = {(POLICY, "k3s-from-nodes")}
    monkeypatch.setattr(Firewalld, "runtime_keys", lambda client: keys(client) - missing)
    with pytest.raises(FirewalldError) as error:
        host.run(wanted())
    assert "policy k3s-from-nodes" in str(error.value)
    assert "was rolled back" in str(error.value)
    assert host.seen() == before


# The confirmation


@pytest.mark.parametrize("step", BROKEN, ids=str)
def test_change_that_nobody_confirms_is_rolled_back(step):
    host = step.prepare()
    before = host.seen()
    result = step.run(host, confirm_timeout=30)
    assert result["confirm"] == host.guard.checkpoint.identity
    assert host.guard.awaits == 30
    host.expire()
    assert without_unnamed_ipsets(host.seen()) == before


@pytest.mark.parametrize("version", VERSIONS)
def test_change_without_a_timeout_is_final_at_once(version):
    host = managed_host(version)
    assert "confirm" not in host.run(wanted(), confirm_timeout=0)
    assert host.guard.checkpoint is None


@pytest.mark.parametrize("version", VERSIONS)
def test_run_that_changes_nothing_awaits_no_confirmation(version):
    host = managed_host(version)
    host.run(wanted())
    assert "confirm" not in host.run(wanted(), confirm_timeout=30)
    assert host.guard.checkpoint is None


@pytest.mark.parametrize("failed", [False, True])
def test_rollback_of_a_failed_firewalld_restores_files_first(failed, monkeypatch):
    """In state FAILED objects have no settings, and a change of one would write that (0.9.3)."""
    steps = []
    for name in ("write", "restore_all", "reload_and_restore_others"):
        monkeypatch.setattr(
            firewalld_write, name, lambda *_arguments, step=name, **_named: steps.append(step)
        )
    for name in ("_rebind", "restore_builtin_zones", "restore_others", "verify", "sync"):
        monkeypatch.setattr(firewalld_write, name, lambda *_arguments, **_named: None)
    client = Mock()
    client.is_failed.return_value = failed
    checkpoint = Checkpoint("id", {}, {}, Record(), Record())
    firewalld_write.roll_back(client, checkpoint, interrupted=True)
    whole = ["write", "restore_all"]
    repaired = ["restore_all", "reload_and_restore_others", "write", "restore_all"]
    assert steps == (repaired if failed else whole)
