# What the scripts share: building, an ensemble of processes in a directory of its own, waiting with a deadline.
# Sourced, not run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${ZW_BIN:-${CARGO_TARGET_DIR:-$root/target}/release}

say() { printf '%s\n' "$*" >&2; }

build() {
    if [[ -z ${ZW_BIN:-} ]]; then
        say "building (release)"
        (cd "$root" && cargo build --quiet --release -p zw-node --bins)
    fi
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; fails with what was waited for.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= deadline)); then
            say "gave up waiting until $what"
            return 1
        fi
        sleep 0.05
    done
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# start_ensemble N: sets ports, pids, servers, work. The processes end with the script.
start_ensemble() {
    local count=$1 base index
    # On a disk, not in a memory file system: the measurements are about this disk.
    mkdir -p "$root/target"
    work=$(mktemp -d "${ZW_WORK:-$root/target}/ensemble-XXXXXX")
    trap stop_ensemble EXIT
    trap 'exit 130' INT TERM
    ports=() pids=()
    # Below the ports that the system gives to outgoing connections: those keep theirs from a node for a minute.
    base=$((10000 + RANDOM % 20000))
    while ((${#ports[@]} < count)); do
        if port_is_free "$base"; then ports+=("$base"); fi
        base=$((base + 1))
    done
    servers=$(printf '127.0.0.1:%s,' "${ports[@]}")
    servers=${servers%,}
    export ZW_SERVERS=$servers
    for ((index = 0; index < count; index++)); do start_node "$index"; done
    wait_for 20 "a leader is elected" has_leader || { tail -n 2 "$work"/*.log >&2; return 1; }
}

start_node() {
    local port=${ports[$1]}
    "$bin/zw-node" --port "$port" --ensemble "$servers" --data "$work/$port" </dev/null >>"$work/$port.out" 2>>"$work/$port.log" &
    pids[$1]=$!
    # Else bash reports each node that is killed.
    disown "$!"
}

stop_ensemble() {
    local pid
    for pid in "${pids[@]}"; do
        kill -CONT "$pid" 2>/dev/null || true
        kill -KILL "$pid" 2>/dev/null || true
    done
    for pid in "${pids[@]}"; do wait_for 5 "process $pid is gone" is_gone "$pid" || true; done
    pids=()
    if [[ -n ${ZW_KEEP:-} ]]; then say "kept: $work"; else rm -rf "$work"; fi
}

is_gone() { ! kill -0 "$1" 2>/dev/null; }

has_leader() { "$bin/zw" status --json | grep -q '"role":"leader"'; }

# Whether one node leads and all others follow it, in one epoch: a node that was paused may think for a moment that it
# still leads.
all_serve() {
    local status
    status=$("$bin/zw" status --json) || return 1
    [[ $(grep -o '"role":"leader"' <<<"$status" | wc -l) == 1 ]] &&
        [[ $(grep -o '"role":"follower"' <<<"$status" | wc -l) == $((${#ports[@]} - 1)) ]] &&
        [[ $(grep -oE '"epoch":[0-9]+' <<<"$status" | sort -u | wc -l) == 1 ]]
}

# nodes: what `zw status --json` prints, a line for each node.
nodes() { sed 's/{"address"/\n&/g'; }

# number NAME: the first number of this name in the JSON on standard input.
number() { grep -oE "\"$1\":[0-9.]+" | head -n 1 | cut -d: -f2; }

# text NAME: the same for a string.
text() { grep -oE "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

# greatest NAME: the greatest of the numbers of this name.
greatest() { grep -oE "\"$1\":[0-9.]+" | cut -d: -f2 | sort -n | tail -n 1; }
