#!/usr/bin/env bash
# Walks through the console in tmux and writes docs/tour.md: what one does, and the screens as they were captured. The page
# is replaced at the end, if every step went well.
#
#   scripts/tour.sh [FILE]     (docs/tour.md without one)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v tmux >/dev/null || { say 'tmux is wanted'; exit 2; }
(cd "$root" && cargo build --quiet --release -p zw-tui -p zw-node)

terminal() { tmux -L "zw-tour-$$" -f /dev/null "$@"; }
page=${1:-$root/docs/tour.md}
unfinished=$(mktemp "$page.XXXXXX")
trap 'terminal kill-server 2>/dev/null || true; rm -f "$unfinished"' EXIT
trap 'exit 130' INT TERM
exec >"$unfinished"
capture() { terminal capture-pane -p -t t; }
shows() { capture | grep -q -e "$1"; }
until_shown() { wait_for 20 "the screen shows $1" shows "$1" || { capture >&2; exit 1; }; }
gone() { ! shows "$1"; }
# Esc alone: with a key right behind it, it would be that key with Alt.
close() { keys Escape; wait_for 5 "$1 is closed" gone "$1" || { capture >&2; exit 1; }; }
keys() { terminal send-keys -t t "$@"; }
type_text() { terminal send-keys -t t -l "$1"; }
command_line() { type_text ":$1"; until_shown "^ *:$1"; keys Enter; }
words() { cat; echo; }
# rows FIRST,LAST: a part of the screen.
screen() {
    echo '```text'
    capture | sed -e 's/[[:space:]]*$//' | sed -n "${1:-1,\$p}"
    echo '```'
    echo
}
leader() { capture | sed -n 's/.*leader \(n[0-9]\).*/\1/p' | head -1; }

terminal new-session -d -x 100 -y 32 -s t \
    "env -i PATH='$PATH' HOME='$HOME' TERM=tmux-256color LANG=C.UTF-8 '$bin/zw-tui' --nodes 5 --brokers 3 --base-port 18080 --broker-base-port 18190"
until_shown 'quorum 5/5'
until_shown 'b3 ▲ UP .* ok'

words <<'E2'
# A tour of the console

Ten minutes, from the first screen to a split ensemble. The screens were captured by `scripts/tour.sh`, which made this page
(100 columns; yours may be larger and show more). Lower case keys look, upper case keys act: nothing that you type in lower
case can break anything.

## 1. Start

    cargo run --release --bin zw-tui -- --nodes 5 --brokers 3

starts five nodes and three brokers as processes of this machine. The second line is the verdict: is the ensemble healthy, how
many voters answer, who leads, what is committed.
E2
screen

words <<'E2'
`j` and `k` move in a pane, Tab and the digits `1` to `8` go to another, `+` gives one the whole screen, `?` shows every key.
The last two lines always tell what can be done here.

## 2. Write

`W` opens the form of a write. Type a path, Enter, a value.
E2
keys W
until_shown 'through'
type_text '/goals'
keys Enter
type_text '7'
until_shown 'value *7'
screen '/Write/,/└─.*┘.*│$/p'
words <<'E2'
Enter sends it, and pane 3 shows the messages of this very write, as the nodes told them: the client's request, the forward to
the leader, its proposal, the acknowledgements, the one that made the quorum (here `3/3`), the commit, the answer. `<` and `>`
change how slowly it is played. A write to a path that is not there yet is two requests: a set that is refused, and a create.
E2
keys Enter
until_shown 'made /goals'
until_shown 'quorum 3 of 5'
keys 3 +
until_shown '◀.* ok [0-9.]*.s'
sleep 1
screen '3,24p'
keys _

words <<'E2'
## 3. Who has the value?

`6` shows the logs side by side: each node's newest entries, those that are committed, and what a node has not.
E2
keys 6 +
until_shown '6 Replication'
sleep 1
screen '1,20p'
keys _
words <<'E2'
`4` is the tree as the selected node has it: choose another node in pane 1, and its tree comes. Enter on a znode shows its
value. `=` compares the selected node's tree with the leader's.
E2
keys 4
until_shown '> *▾ /'
keys j j j j
until_shown '> .*goals'
until_shown 'v0  1 B'
screen '11,28p'

words <<E2
## 4. Kill the leader

\`:kill leader\` (or select it and press \`K\`) sends SIGKILL. The verdict says what it means while the others elect. Then \`e\`
shows the election as it went: who noticed when, every vote with its reason, who won, how long nobody could write, and how
the followers were brought up to date.
E2
before=$(leader)
command_line 'kill leader'
until_shown "$before .*exit 137 (you)"
until_shown 'quorum 4/5  leader n'
keys e
until_shown 'could not write\|nobody could\|unavailable\|Election'
sleep 1.5
screen
close 'Election'
words <<E2
\`!\` explains the verdict and says what to do; \`U\` takes the last act back: $before is started again and catches up.
E2
keys '!'
until_shown 'Esc'
sleep 0.5
screen '1,26p'
close 'Why'
keys U
until_shown 'quorum 5/5'

words <<'E2'
## 5. Split the ensemble

`:cut n1,n2|n3,n4,n5 60s` holds back all bytes between the two sides for a minute. The side with three nodes has a quorum and
goes on; the other cannot commit anything, however long it waits.
E2
command_line 'cut n1,n2|n3,n4,n5 60s'
until_shown 'quorum 3/5  leader n[345]'
sleep 2
screen '1,12p'
words <<'E2'
A write through n1 waits for a leader that it cannot reach, and says so. Nothing was lost, and no two leaders exist in one epoch.
E2
command_line 'write n1 /goals 8'
until_shown 'no quorum\|no leader\|not done\|may be done\|refuse'
sleep 0.5
screen '27,30p'
words <<'E2'
`H` heals everything. The two come back as followers and get what they missed.
E2
keys H
until_shown 'quorum 5/5'
sleep 1
screen '1,9p'

words <<'E2'
## 6. Look back

Everything that the console was told is kept. `{` goes back to the mark before (an election, a kill, a cut), `}` to the next;
every pane shows that moment. Acts are refused there. `.` comes back to now.
E2
keys '{' '{'
until_shown 'PAST'
sleep 0.5
screen '1,10p'
keys .
until_shown 'HEALTHY'

words <<'E2'
## 7. Load, and a check of every answer

`B` writes and reads as several clients, and holds every answer against the rules: no acknowledged write lost, none applied
twice, no client's reads going backwards, equal trees at equal entries. `b` hides and shows the page; `B` again ends the load.
E2
keys B
until_shown '0 violations in [1-9]'
sleep 3
screen
close 'Load'
keys B
sleep 1

words <<'E2'
## 8. Scenarios

`X` lists demonstrations and trials, each with expectations that are checked; `zw-tui run all --headless` plays them without
a screen.
E2
keys X
until_shown 'isolate'
screen '1,30p'
close 'isolate'

words <<'E2'
`q` leaves: all processes are stopped, and the data, which was in a temporary directory, is removed. `--data DIR` keeps it.
`Q` leaves and lets them run on: its last lines say how to come back to the same processes, and how to end them.
E2
keys q

# As files usually are; mktemp's are its owner's alone.
chmod =rw "$unfinished"
mv "$unfinished" "$page"
