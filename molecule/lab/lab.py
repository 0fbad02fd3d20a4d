# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start and end labs: real machines (systemd, D-Bus, firewalld, NetworkManager, SSH) for tests.

The machines are systemd-nspawn containers, as many as wanted, on bridges in a network namespace
that nothing enters or leaves. Each is an overlay over a Debian tree, which is built once and kept,
or over the tree that K3S_LAB_ROOT names. `create` returns when all are up and writes inventory.yml
and ssh_config, with which Ansible, testinfra and ssh reach them from outside the namespace. A
machine that reboots itself comes back; one that powers off stays off. Needs root.

A machine of which the spec says `vm: true` is a QEMU virtual machine instead, on the same bridges.
It has a kernel of its own, a disk made of a tree with a kernel (never of K3S_LAB_ROOT), and power
that `reset` cuts; `network: networkd` or `ifupdown` has another than NetworkManager look after its
NICs. QEMU uses KVM where that has booted a kernel, and emulates the processor elsewhere, so that a
boot takes a minute or two; K3S_LAB_ACCEL (kvm or tcg) overrules that.

The files of a container of which the spec says `disk: true` are on an ext4 file system of its own,
which loses what was not synced when `reset` cuts the power.

A container of which the spec says `services: true` has real servers installed (etcd, Redis, nginx,
tgt), none of which starts by itself.

Everything is below K3S_LAB_CACHE (default: k3s-network-lab in the user's cache directory).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import access
import image
import limits
import spec
from common import LabError, cache_dir, locked, wait_until
from container import Container
from machine import Instance
from network import Network
from process import Cgroup, systemd_is_init
from virtual import VirtualMachine


class Lab:
    """A lab, known by its name; its directory tells whether it exists."""

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
            raise LabError(
                f"lab name {name!r}: letters, digits, dashes and underscores, 40 at most"
            )
        self.name = name
        self.directory = labs_dir() / name
        self.network = Network(name)

    @property
    def exists(self) -> bool:
        """Whether there is a lab, complete or not; logs alone are what a failure left."""
        return (self.directory / "lab.json").exists()

    @property
    def complete(self) -> bool:
        """Whether all machines have come up."""
        return (self.directory / "inventory.yml").exists()

    def instances(self) -> list[Instance]:
        """The machines that have a directory."""
        machines = self.directory / "machines"
        return [Instance(self.name, path) for path in sorted(machines.glob("*"))]

    def instance(self, machine: spec.Machine) -> Container | VirtualMachine:
        """A machine as what it is."""
        kind = VirtualMachine if machine.vm else Container
        return kind(self.name, self.directory / "machines" / machine.name)

    def note(self) -> dict[str, Any]:
        """What was written down when the lab was created."""
        if not self.exists:
            raise LabError(f"there is no lab {self.name}")
        note: dict[str, Any] = json.loads((self.directory / "lab.json").read_text())
        return note

    def running(self, name: str) -> tuple[spec.Machine, Container | VirtualMachine]:
        """A machine that is switched on, by its name."""
        machine = spec.parse(self.note()["spec"]).machine(name)
        instance = self.instance(machine)
        if not instance.runs():
            raise LabError(f"{name} is switched off")
        return machine, instance

    def create(self, data: dict[str, Any], replace: bool) -> None:
        """Start all machines and wait for them; on a failure nothing but their logs stays."""
        wanted = spec.parse(data)
        flavours = sorted({machine.flavour for machine in wanted.machines})
        trees = {flavour: image.tree_for(wanted.suite, flavour) for flavour in flavours}
        with self._locked():
            if self.exists and not replace:
                raise LabError(f"lab {self.name} exists; destroy it, or say --replace")
            self._destroy()
            try:
                self._start(data, wanted, trees)
                self._wait(wanted)
            except BaseException:
                self._destroy(keep_logs=True)
                raise

    def _start(self, data: dict[str, Any], wanted: spec.Spec, trees: dict[str, Path]) -> None:
        self.directory.mkdir(parents=True)
        note = {"trees": [tree.name for tree in trees.values()], "spec": data}
        (self.directory / "lab.json").write_text(json.dumps(note))
        limits.raise_limit(labs_dir())
        access.make_keys(self.directory / "keys")
        self.network.create()
        access.write_ssh_config(self.directory, self.network, wanted)
        for machine in wanted.machines:
            instance = self.instance(machine)
            instance.start(trees[machine.flavour], machine, self.network, self.directory / "keys")

    def _wait(self, wanted: spec.Spec) -> None:
        # Not joined: where one fails the others are still waiting, until _destroy ends it all.
        pool = ThreadPoolExecutor(len(wanted.machines))
        try:
            list(pool.map(self._wait_for, wanted.machines))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        access.write_inventory(self.directory, wanted)

    def _wait_for(self, machine: spec.Machine) -> None:
        instance = self.instance(machine)
        seconds = access.patience(machine)

        def answers() -> bool:
            if not instance.runs():
                raise LabError("switched itself off")
            return access.answers(self.network, machine)

        try:
            if not wait_until(answers, seconds=seconds, pause=0.2):
                raise LabError(f"does not answer on its SSH port after {seconds} s")
            access.settle(self.directory, machine)
        except LabError as error:
            raise LabError(
                f"{machine.name}: {error}; the end of {instance.log}:\n{instance.console()}"
            ) from None

    def destroy(self) -> None:
        """End and remove whatever there is of the lab."""
        with self._locked():
            self._destroy()

    def _destroy(self, keep_logs: bool = False) -> None:
        instances = self.instances()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(Instance.stop, instances))
        if not systemd_is_init():
            Cgroup(f"k3s-lab-{self.name}").remove()
        self.network.delete()
        for instance in instances:
            instance.unmount()
            if keep_logs:
                instance.forget()
        if keep_logs:
            shutil.rmtree(self.directory / "keys", ignore_errors=True)
            (self.directory / "lab.json").unlink(missing_ok=True)
        elif self.directory.exists():
            shutil.rmtree(self.directory)
        limits.give_back(labs_dir())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(labs_dir() / f".{self.name}.lock"):
            yield


def labs_dir() -> Path:
    """The directory that holds the labs."""
    return cache_dir() / "run"


def all_labs() -> list[Lab]:
    """Every lab there is anything of."""
    return [Lab(path.name) for path in sorted(labs_dir().glob("[a-z0-9]*")) if path.is_dir()]


def image_command(args: argparse.Namespace) -> None:
    """Build an OS tree."""
    print(image.build(args.suite, args.flavour))


def create_command(args: argparse.Namespace) -> None:
    """Create a lab from a file or from numbers."""
    if args.spec:
        try:
            data = json.loads(args.spec.read_text())
        except (OSError, ValueError) as error:
            raise LabError(f"{args.spec}: {error}") from None
        if args.suite:
            data["suite"] = args.suite
    else:
        suite = args.suite or "bookworm"
        data = spec.shortcut(suite, args.servers, args.agents, args.clients, args.nics)
    start = time.monotonic()
    lab = Lab(args.name)
    lab.create(data, args.replace)
    print(f"lab {lab.name} is up after {time.monotonic() - start:.1f} s")
    print(f"ansible -i {lab.directory}/inventory.yml all -m ping")
    print(f"ssh -F {lab.directory}/ssh_config NAME")


def destroy_command(args: argparse.Namespace) -> None:
    """Destroy one lab or all."""
    for lab in all_labs() if args.all else [Lab(args.name)]:
        lab.destroy()


def exec_command(args: argparse.Namespace) -> None:
    """Become a command in the lab's network namespace."""
    lab = Lab(args.name)
    lab.note()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise LabError("which command?")
    os.execvp(lab.network.enter[0], [*lab.network.enter, *command])


def reset_command(args: argparse.Namespace) -> None:
    """Cut the power of a machine with a disk and give it back; what was not synced is lost."""
    _machine, instance = Lab(args.name).running(args.machine)
    instance.reset()


def carrier_command(args: argparse.Namespace) -> None:
    """Plug the cable of a machine's NIC in or out."""
    lab = Lab(args.name)
    machine, instance = lab.running(args.machine)
    instance.set_carrier(lab.network, machine, machine.nic(args.nic), args.state == "on")


def path_command(args: argparse.Namespace) -> None:
    """Print a lab's directory, which holds inventory.yml and ssh_config."""
    lab = Lab(args.name)
    if not lab.complete:
        raise LabError(f"there is no complete lab {lab.name}")
    print(lab.directory)


def list_command(_args: argparse.Namespace) -> None:
    """Say which labs there are."""
    for lab in all_labs():
        if not lab.exists:
            continue
        instances = lab.instances()
        running = sum(instance.runs() for instance in instances)
        trees = ", ".join(lab.note()["trees"])
        state = "complete" if lab.complete else "incomplete"
        print(f"{lab.name}: {state}, {running} of {len(instances)} machines run, {trees}")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[argparse.Namespace], None]) -> Any:
        added = commands.add_parser(name, help=function.__doc__)
        added.set_defaults(function=function)
        return added

    build = command("image", image_command)
    build.add_argument("suite", choices=image.SUITES)
    flavour = build.add_mutually_exclusive_group()
    flavour.set_defaults(flavour=spec.PLAIN)
    for name, what in ((spec.VM, "virtual machines"), (spec.SERVICES, "machines with services")):
        flavour.add_argument(
            f"--{name}",
            dest="flavour",
            action="store_const",
            const=name,
            help=f"the tree of {what}",
        )

    create = command("create", create_command)
    create.add_argument("--name", required=True)
    create.add_argument("--spec", type=Path, help="JSON file that lists the machines")
    create.add_argument("--suite", choices=image.SUITES, help="overrides the spec's")
    create.add_argument("--servers", type=int, default=3)
    create.add_argument("--agents", type=int, default=2)
    create.add_argument("--clients", type=int, default=1)
    create.add_argument("--nics", type=int, choices=(1, 2, 3), default=1, help="of each node")
    create.add_argument("--replace", action="store_true", help="destroy a lab of that name first")

    destroy = command("destroy", destroy_command)
    which = destroy.add_mutually_exclusive_group(required=True)
    which.add_argument("--name")
    which.add_argument("--all", action="store_true")

    execute = command("exec", exec_command)
    execute.add_argument("--name", required=True)
    execute.add_argument("command", nargs=argparse.REMAINDER)

    reset = command("reset", reset_command)
    reset.add_argument("--name", required=True)
    reset.add_argument("machine")

    carrier = command("carrier", carrier_command)
    carrier.add_argument("--name", required=True)
    carrier.add_argument("machine")
    carrier.add_argument("nic")
    carrier.add_argument("state", choices=("on", "off"))

    command("path", path_command).add_argument("--name", required=True)
    command("list", list_command)
    return parser


def main() -> int:
    """Run a subcommand."""
    args = arguments().parse_args()
    # So that what was begun is cleaned up.
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_args: sys.exit(1))
    try:
        if os.geteuid():
            raise LabError("the lab mounts and starts machines: run it as root")
        args.function(args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
