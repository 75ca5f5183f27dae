#!/usr/bin/env bash
# Measures an ensemble of three on this machine, fdatasync on, and prints one table, beside what the machine itself allows.
#
#   scripts/bench.sh [--znodes N]      (1000000)
#
# Use ratios of one run, not absolute figures of different machines or days.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

znodes=1000000
while (($# > 0)); do
    case $1 in
        --znodes) znodes=${2:-}; shift 2 || true ;;
        *) echo 'usage: bench.sh [--znodes N]' >&2; exit 2 ;;
    esac
done
[[ $znodes =~ ^[1-9][0-9]*$ ]] || { echo '--znodes wants a number' >&2; exit 2; }
secs=${ZW_SECS:-10}

load() { "$bin/zw" load --json --secs "$secs" "$@"; }
row() { printf '%-58s %14s\n' "$1" "$2"; }
rss() { "$bin/zw" status --json | greatest rss_bytes; }
whole() { number "$1" | cut -d. -f1; }
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }

build
start_ensemble 3
wait_for 20 "all nodes take part" all_serve
say "measuring the machine"
limits=$("$bin/zw" bench-limits --json --dir "$work" --time 2s)
idle=$(rss)
say "one client, one request under way"
leader=$(load --clients 1 --inflight 1 --target leader)
follower=$(load --clients 1 --inflight 1 --target followers)
say "64 clients, 16 requests under way each"
writes=$(load --clients 64 --inflight 16)
reads=$(load --clients 64 --inflight 16 --read-percent 100)
say "making $znodes znodes"
fill=$("$bin/zw" load --json --create --keep --clients 64 --inflight 16 --writes "$znodes")
after=$(rss)
say "writing while one node after the other takes a snapshot"
snapshots="$work/snapshots.json"
(sleep 1; "$bin/zw" snapshot --all --json >"$snapshots") &
during=$("$bin/zw" load --json --clients 8 --inflight 1 --secs 6)
wait $! || { say "a snapshot failed"; cat "$snapshots" >&2; exit 1; }
"$bin/zw" check >/dev/null

echo "3 nodes on one machine ($(nproc) cores), fdatasync on, values of 100 bytes"
row 'append of 100 bytes + fdatasync, median' "$(number append_fdatasync_p50_ms <<<"$limits") ms"
row 'loopback round trip of 100 bytes, median' "$(number round_trip_p50_ms <<<"$limits") ms"
row 'write, 1 client x 1, at the leader, median' "$(number p50_ms <<<"$leader") ms"
row 'write, 1 client x 1, at a follower, median' "$(number p50_ms <<<"$follower") ms"
row 'writes/s, 64 clients x 16' "$(whole ops_per_s <<<"$writes")"
row 'reads/s, 64 clients x 16' "$(whole ops_per_s <<<"$reads")"
row 'creates/s, 64 clients x 16' "$(whole ops_per_s <<<"$fill")"
row 'resident memory, idle, largest node' "$(mib "$idle")"
row "resident memory per znode at $znodes znodes" "$(((after - idle) / znodes)) bytes"
row "resident memory at $znodes znodes, largest node" "$(mib "$after")"
row "longest write while $znodes znodes are snapshotted" "$(number max_ms <<<"$during") ms"
row 'the slowest of those snapshots' "$(greatest ms <"$snapshots") ms"
row 'acknowledged writes lost, all runs' \
    "$(printf '%s\n' "$leader" "$follower" "$writes" "$reads" "$fill" "$during" | grep -oE '"lost":[0-9]+' | cut -d: -f2 | paste -sd+ | { read -r sum; echo $((sum)); })"
