# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Break a prepared cluster many times, validate it, and compare the report with the truth.

Each mutation is drawn with a seed, played on a lab, and mended. The model of most mutations is
compared with packets first. The unbroken cluster is validated first, last, and after every 25th.
The last line says how many reports were right in everything; the others are in
.build/mutations-LAB.json as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".build"))

from task_server import TaskServer

from mutations.cluster import SEGREGATED, SHARED
from mutations.direct import DirectValidation
from mutations.draw import KINDS
from mutations.player import Player
from mutations.stage import BUILD, StageError, lab_directory, new_lab, open_stage


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", default="mutations", help="name of a lab, which is prepared")
    parser.add_argument("--create", action="store_true", help="start that lab, and end it")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument(
        "--healthy",
        type=int,
        default=0,
        help="how often to validate the unbroken cluster besides, half of these times with "
        "configuration of other software",
    )
    parser.add_argument("--seed", default="random", help="the same seed draws the same mutations")
    parser.add_argument("--kinds", default="", help=f"of {', '.join(KINDS)}; by default all")
    parser.add_argument(
        "--playbook",
        action="store_true",
        help="validate each mutation by the playbook; by default only one in ten, and those that "
        "change addresses",
    )
    parser.add_argument("--suite", default="bookworm")
    parser.add_argument("--mode", choices=(SHARED, SEGREGATED), default=SHARED)
    parsed = parser.parse_args()
    parsed.kinds = [kind for kind in parsed.kinds.split(",") if kind]
    unknown = sorted(set(parsed.kinds) - set(KINDS))
    if unknown:
        parser.error(f"unknown kinds: {', '.join(unknown)}")
    if parsed.seed == "random":
        parsed.seed = str(random.randrange(10**6))
    return parsed


def main() -> int:
    """Play and sum up."""
    args = arguments()
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda *_args: sys.exit(1))
    # Of the collection's code that TaskServer puts on a machine.
    os.environ.setdefault("ANSIBLE_COLLECTIONS_PATH", str(BUILD))
    print(f"seed {args.seed}, {args.count} mutations, {args.mode}, lab {args.lab}", flush=True)
    with contextlib.ExitStack() as stack:
        try:
            if args.create:
                stack.enter_context(new_lab(args.lab, args.suite, args.mode))
            directory = lab_directory(args.lab)
            stage = stack.enter_context(
                open_stage(directory / "inventory.yml", directory / "ssh_config", args.mode)
            )
            stage.prepare()
            direct = None
            if not args.playbook:
                names = [machine.name for machine in stage.cluster.machines]
                servers = {name: TaskServer(stage.ssh(name)) for name in names}
                direct = DirectValidation(stage.topology(), servers)
                stack.callback(direct.end)
            player = Player(stage, random.Random(args.seed), args.kinds, direct)
            stack.callback(sum_up, player, args.lab)
            player.play(args.count, args.healthy)
        except StageError as error:
            print(f"mutations: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            return 130
    return 1 if player.tally.failed else 0


def sum_up(player: Player, lab: str) -> None:
    """Print the table, and write down what was wrong."""
    path = BUILD / f"mutations-{lab}.json"
    path.write_text(json.dumps(player.failures, indent=2) + "\n")
    print("\n".join(player.tally.lines()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
