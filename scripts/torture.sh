#!/usr/bin/env bash
# Real processes under real faults for some minutes: partitions, cut and clogged links, kills, stops, full and slow
# disks; everything that clients were told is checked against the committed sequence. See docs/verification.md.
#
#   scripts/torture.sh MINUTES [--nodes N] [--seed N]
#
# Without --nodes, ensembles of 3 and of 5. Exit code 0: nothing found; 1: a violation, its evidence is kept;
# 2: wrong usage; 3: the harness failed, nothing can be said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { echo 'usage: torture.sh MINUTES [--nodes N] [--seed N]' >&2; exit 2; }

minutes= nodes= seed=
while (($# > 0)); do
    case $1 in
        --nodes) nodes=${2:-}; [[ $nodes =~ ^[1-9]$ ]] || usage; shift 2 ;;
        --seed) seed=${2:-}; [[ $seed =~ ^[0-9]{1,18}$ ]] || usage; shift 2 ;;
        *) [[ -z $minutes && $1 =~ ^[1-9][0-9]{0,5}$ ]] || usage; minutes=$1; shift ;;
    esac
done
[[ -n $minutes ]] || usage

echo 'building (release)' >&2
# Cargo names the program; its own exit code would hide the program's.
no_verdict() { echo "harness failure, no verdict: $1" >&2; exit 3; }
built=$(cargo test --quiet --release -p zw-node --test torture --no-run --message-format json) ||
    no_verdict 'the program was not built'
program=$(grep -F '"name":"torture"' <<<"$built" | grep -oE '"executable":"[^"]+"' | tail -n 1 | cut -d'"' -f4) || true
[[ -x $program ]] || no_verdict 'the program was not found'

# On a disk, not in a memory file system: nodes should meet a real one.
directory=${ZW_WORK:-${CARGO_TARGET_DIR:-$PWD/target}}/torture
mkdir -p "$directory" || no_verdict 'no place for the evidence'
status=0
ZW_TORTURE_MINUTES=$minutes ZW_TORTURE_NODES=$nodes ZW_TORTURE_SEED=$seed ZW_TORTURE_DIR=$directory "$program" ||
    status=$?
case $status in
    0 | 1) exit "$status" ;;
    *) exit 3 ;;
esac
