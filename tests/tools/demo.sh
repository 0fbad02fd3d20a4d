#!/usr/bin/env bash
# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

# The demo: demo.sh up shared|segregated, demo.sh validate, demo.sh prepare, demo.sh down.
set -euo pipefail

cd "$(dirname "$0")/../.."
lab() { python3 -B molecule/lab/lab.py "$@"; }
report=report
export ANSIBLE_COLLECTIONS_PATH="$PWD/.build"
export ANSIBLE_HOST_KEY_CHECKING=false ANSIBLE_PIPELINING=true
export ANSIBLE_DISPLAY_SKIPPED_HOSTS=false

# The lab that is up tells the mode: in segregated its nodes have two NICs.
mode() {
  if grep -q '"nics": 2' "$1/lab.json"; then echo segregated; else echo shared; fi
}

# All of it is read: grep -q would end at its line, and the list with an error where it has more labs.
is_up() { lab list | grep '^demo: complete, 6 of 6 machines run' >/dev/null; }

playbook() {
  local name=$1 variables=() directory
  if ! is_up; then
    echo "The demo's machines are not up; start them with: make demo" >&2
    exit 1
  fi
  directory=$(lab path --name demo)
  if [ "$(mode "$directory")" = segregated ]; then
    variables=(
      -e k3s_topology_mode=segregated
      -e k3s_topology_cluster_interface=eth0
      -e k3s_topology_external_interface=eth1
    )
  fi
  ansible-playbook -i "$directory/inventory.yml" \
    "edgeops.k3s_network.$name" "${variables[@]}" -e "k3s_connectivity_report_dir=$PWD/$report"
}

up() {
  local mode=$1 nics=1 output
  case "$mode" in
    shared) ;;
    segregated) nics=2 ;;
    *) echo "MODE is '$mode'; it is shared or segregated" >&2; exit 2 ;;
  esac
  if is_up && [ "$(mode "$(lab path --name demo)")" = "$mode" ]; then
    echo "The demo's machines are up already."
  else
    echo "Starting three servers, two agents and an outside client (the first time builds an image) ..."
    lab create --name demo --servers 3 --agents 2 --clients 1 --nics "$nics" --replace >/dev/null
  fi
  echo "== site: prepare and validate =="
  playbook site
  echo "== site again: nothing is left to change =="
  output=.build/demo-second-run
  playbook site | tee "$output"
  if ! grep -q 'changed=0' "$output" || grep -qE 'changed=[1-9]' "$output"; then
    echo "The second run changed something, which it should not." >&2
    exit 1
  fi
  cat <<END

The second run reports changed=0, and $report/report.json begins with $(grep -m 1 '"ok"' "$report/report.json" | tr -d ' ,').
The report for people is $report/report.html.
Look at a machine:      ssh -F $(lab path --name demo)/ssh_config server1
Take a rule away:       firewall-cmd --policy=k3s-from-nodes --remove-rich-rule='rule family=ipv4 source ipset=k3s-nodes port port=5001 protocol=tcp accept'
Validate it as it is:   make demo-validate
Prepare it again:       make demo-prepare
End the machines:       make demo-down
END
}

case "${1:-}" in
  up) up "${2:-shared}" ;;
  validate | prepare) playbook "$1" ;;
  down) lab destroy --name demo ;;
  *) echo "usage: $0 up [shared|segregated] | validate | prepare | down" >&2; exit 2 ;;
esac
