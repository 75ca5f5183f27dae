#!/usr/bin/env bash
# Shows what an ensemble of five does when nodes are missing: with two down writes go on, with three down they are refused
# while reads answer, and nodes that come back catch up, by the log or by a snapshot. Ends with 0 only if all holds.
#
#   scripts/outages.sh [--writes N]      (100000: what passes while a node is down)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

writes=100000
while (($# > 0)); do
    case $1 in
        --writes) writes=${2:-}; shift 2 || true ;;
        *) echo 'usage: outages.sh [--writes N]' >&2; exit 2 ;;
    esac
done
[[ $writes =~ ^[1-9][0-9]{0,7}$ ]] || { echo '--writes wants a number' >&2; exit 2; }

zw() { "$bin/zw" --servers "127.0.0.1:${ports[0]}" "$@"; }
down() { kill -KILL "${pids[$1]}"; wait_for 5 "node $1 is gone" is_gone "${pids[$1]}"; }
agree() { "$bin/zw" check | tail -n 1; }

build
start_ensemble 5
wait_for 20 "all nodes take part" all_serve
zw create /outage 'before' >/dev/null

down 4; down 3
zw set /outage 'with two down' >/dev/null
echo "2 of 5 down: a write is done, and reads back as '$(zw get /outage)'"

down 2
wait_for 5 "the rest notices" bash -c "! '$bin/zw' status --json | grep -q '\"role\":\"leader\"'"
code=0
refusal=$(zw set /outage 'never' 2>&1) || code=$?
echo "3 of 5 down: a write ends with exit code $code: $refusal"
((code == 1))
[[ $(zw get /outage) == 'with two down' ]]
echo "3 of 5 down: a read still answers '$(zw get /outage)'"

start_node 2
wait_for 20 "a leader is elected" has_leader
say "writing $writes values while nodes 4 and 5 are down"
"$bin/zw" load --json --clients 32 --inflight 16 --writes "$writes" >"$work/load.json"
zw sync >/dev/null
start_node 3
wait_for 60 "node 4 follows" bash -c "[[ \$('$bin/zw' status --json | grep -o '\"role\":\"follower\"' | wc -l) == 3 ]]"
echo "a node that was down for $writes writes is back: $(agree)"

# Its log ends before the oldest record that the others keep in memory, so it gets a snapshot.
"$bin/zw" load --json --clients 32 --inflight 16 --size 1000 --writes 40000 >"$work/load.json"
start_node 4
wait_for 60 "node 5 follows" all_serve
echo "a node that is behind the retained log is back: $(agree)"
grep -q 'how="snapshot"' "$work"/*.log && echo "it was sent a snapshot"
