#!/usr/bin/env bash
# Kills the leader (SIGKILL) ten times in a row under load, revives it each time, and checks that nothing is lost and
# that all nodes agree. Prints the longest interval without an acknowledged write.
#
#   scripts/kill_leaders.sh [--pause] [--times N]
#
# --pause stops the leader (SIGSTOP) instead, until another one leads.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

times=10 pause=
while (($# > 0)); do
    case $1 in
        --pause) pause=--pause; shift ;;
        --times) times=${2:-}; shift 2 || true ;;
        *) echo 'usage: kill_leaders.sh [--pause] [--times N]' >&2; exit 2 ;;
    esac
done
[[ $times =~ ^[1-9][0-9]{0,3}$ ]] || { echo '--times wants a number' >&2; exit 2; }

did=${pause:+paused}
did=${did:-killed}

leads_elsewhere() {
    local leader
    leader=$("$bin/zw" status --json | nodes | grep '"role":"leader"' | text address)
    [[ -n $leader && $leader != "$1" ]]
}

build
start_ensemble 3
say "3 nodes on ${ports[*]}; load begins"
# SIGTERM ends the load when the rounds are done; it then verifies and reports as usual.
"$bin/zw" load --json --clients 6 --inflight 4 --secs 3600 --request-timeout 1s >"$work/load.json" 2>"$work/load.log" &
load=$!
# However this ends, the load ends too.
end_load() { [[ -z $load ]] || kill -KILL "$load" 2>/dev/null || true; }
trap 'end_load; stop_ensemble' EXIT
wait_for 30 "the load is under way" "$bin/zw" ls /zw-load

for ((round = 1; round <= times; round++)); do
    killed=$("$bin/zw" kill-leader --json $pause)
    address=$(text address <<<"$killed") pid=$(number pid <<<"$killed")
    wait_for 20 "another node leads" leads_elsewhere "$address"
    for index in "${!ports[@]}"; do
        if [[ $address == *":${ports[index]}" ]]; then
            if [[ -n $pause ]]; then
                kill -CONT "$pid"
            else
                wait_for 5 "process $pid is gone" is_gone "$pid"
                start_node "$index"
            fi
        fi
    done
    wait_for 20 "all nodes take part again" all_serve
    say "round $round: $did $address (pid $pid); all nodes are back"
done

status=0
kill -TERM "$load" 2>/dev/null || say "the load ended before it was asked to"
wait "$load" || status=$?
load=
cat "$work/load.json"
cat "$work/load.log" >&2
((status == 0)) || { say "the load ended with exit code $status"; exit 1; }
"$bin/zw" check
echo "leaders $did: $times; longest gap without an acknowledged write: $(number longest_gap_ms <"$work/load.json") ms;" \
    "lost: $(number lost <"$work/load.json")"
