#!/usr/bin/env bash
# Sends football events to a broker, one after the other, and prints each answer and the total time.
#
#   scripts/send_requests.sh N [BROKER_PORT] [CLIENTS] [--to leader|followers|random]
#
# BROKER_PORT  the broker; the first of 9090 to 9098 that answers if it is left out
# CLIENTS      the brokers in the cluster from now on, as "9090,9091,9092"
# --to         which node the broker is to write to (random); ZW_SERVERS (127.0.0.1:8080) says where the nodes are
#
# Needs bash and curl.
set -euo pipefail

usage() {
    echo 'usage: send_requests.sh N [BROKER_PORT] ["9090,9091,9092"] [--to leader|followers|random]' >&2
    exit 2
}

to=random
words=()
while (($# > 0)); do
    case $1 in
        --to) (($# >= 2)) || usage; to=$2; shift 2 ;;
        --to=*) to=${1#--to=}; shift ;;
        -*) usage ;;
        *) words+=("$1"); shift ;;
    esac
done
((${#words[@]} >= 1 && ${#words[@]} <= 3)) || usage
count=${words[0]}
broker=${words[1]:-}
clients=${words[2]:-9090,9091,9092}
[[ $count =~ ^[1-9][0-9]{0,6}$ ]] || usage
[[ -z $broker || $broker =~ ^[0-9]+$ ]] || usage
[[ $clients =~ ^[0-9,\ ]+$ ]] || usage
[[ $to =~ ^(leader|followers|random)$ ]] || usage

answers() { curl --silent --output /dev/null --max-time 1 "http://127.0.0.1:$1/status"; }
if [[ -z $broker ]]; then
    for port in 9090 9091 9092 9093 9094 9095 9096 9097 9098; do
        if answers "$port"; then broker=$port; break; fi
    done
    if [[ -z $broker ]]; then
        echo "no broker answers on 9090 to 9098; start one, for example: scripts/deployment.sh 3 3" >&2
        exit 1
    fi
elif ! answers "$broker"; then
    echo "no broker answers on port $broker" >&2
    exit 1
fi

# The nodes to name as ReceiverIp, from the first row of a node's metadata.
receivers=()
IFS=, read -ra nodes <<<"${ZW_SERVERS:-127.0.0.1:8080,127.0.0.1:8081,127.0.0.1:8082}"
for node in "${nodes[@]}"; do
    row=$(curl --silent --max-time 1 "http://$node/metadata" | grep -oE '\{[^}]*\}' | head -n 1) || continue
    leader=$(grep -oE '"Leader":"[0-9]*"' <<<"$row" | cut -d'"' -f4) || true
    list=$(grep -oE '"Servers":"[0-9,]*"' <<<"$row" | cut -d'"' -f4) || true
    [[ -n $list ]] || continue
    IFS=, read -ra servers <<<"$list"
    for port in "${servers[@]}"; do
        case $to in
            leader) if [[ $port == "$leader" ]]; then receivers+=("$port"); fi ;;
            followers) if [[ $port != "$leader" ]]; then receivers+=("$port"); fi ;;
            random) receivers+=("$port") ;;
        esac
    done
    break
done
if ((${#receivers[@]} == 0)) && [[ $to != random ]]; then
    echo "no node says who leads, so --to $to cannot be done; is ZW_SERVERS right?" >&2
    exit 1
fi

players=(Ronaldo Messi Pele Maradona)
clubs=(FCB RMA MU FCB)
run=$$-$RANDOM$RANDOM

# One curl process for many requests keeps the connection open.
config() {
    local index receiver body
    for ((index = $1; index <= $2; index++)); do
        receiver=
        if ((${#receivers[@]} > 0)); then receiver="\"ReceiverIp\":\"${receivers[RANDOM % ${#receivers[@]}]}\","; fi
        body="{\"metadata\":{$receiver\"Clients\":\"$clients\",\"RequestId\":\"$run-$index\"},\"gameResults\":{"
        body+="\"Minute\":$(((index - 1) % 90 + 1)),\"Player\":\"${players[RANDOM % 4]}\","
        body+="\"Club\":\"${clubs[RANDOM % 4]}\",\"Score\":\"$((RANDOM % 5))-$((RANDOM % 5))\"}}"
        ((index == $1)) || echo next
        echo "url = \"http://127.0.0.1:$broker/addScore\""
        echo 'silent'
        echo 'no-buffer'
        echo 'max-time = 10'
        echo 'header = "Content-Type: application/json"'
        echo "data = \"${body//\"/\\\"}\""
        echo 'write-out = "\n%{http_code}\n"'
    done
}

begin=${EPOCHREALTIME/[.,]/}
number=0 good=0
batch=500
for ((from = 1; from <= count; from += batch)); do
    until=$((from + batch - 1 < count ? from + batch - 1 : count))
    while IFS= read -r answer && IFS= read -r code; do
        number=$((number + 1))
        if [[ $code == 200 && $answer == *OK* ]]; then
            good=$((good + 1))
            echo "Received OK response for request $number. $answer"
        else
            echo "Received unexpected response for request $number: $code ${answer:-no answer}"
        fi
    done < <(config "$from" "$until" | curl --config - 2>/dev/null || true)
done
took=$((${EPOCHREALTIME/[.,]/} - begin))
printf 'Total time taken for %d requests: %d.%03d seconds\n' "$count" $((took / 1000000)) $((took / 1000 % 1000))
echo "Requests sent: $count, answered OK: $good."
((good == count))
