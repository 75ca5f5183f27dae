#!/usr/bin/env bash
# Starts an ensemble and its brokers on this machine, without a screen; Ctrl-C stops all of it.
#
#   scripts/deployment.sh NODES [BROKERS]
#
# The nodes listen on 8080, 8081, ...; the brokers on 9090, 9091, ...
set -euo pipefail

usage() {
    echo 'usage: deployment.sh NODES [BROKERS]   (1 to 9 nodes, 0 to 9 brokers; 3 brokers if left out)' >&2
    exit 2
}

(($# >= 1 && $# <= 2)) || usage
nodes=$1 brokers=${2:-3}
[[ $nodes =~ ^[1-9]$ && $brokers =~ ^[0-9]$ ]] || usage

cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec cargo run --quiet --release --bin zw-tui -- --headless --nodes "$nodes" --brokers "$brokers"
