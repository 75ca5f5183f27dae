#!/usr/bin/env bash
# Makes the checks of the console: a line for each with its id, pass or fail, and what was measured. Those that measure run
# in a pseudo terminal (zw-tui/benches/console_checks), those that only hold or not are tests by name, and those about a
# terminal that goes away or a shell beneath run in tmux. Ends with 0 only if all pass. On a quiet machine.
#
#   scripts/console-checks.sh [ID...]     (all without an ID: some 80 minutes, most of them for B6, which
#   ZW_CHECK_MEMORY_SECONDS shortens; --list prints the ids)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# id, test file, test: what must hold is said in the test.
tests='
A4  pty           a_port_that_is_taken_meanwhile_is_named_and_the_others_serve
A6  pty           a_second_console_on_the_same_data_is_refused
A8  shell_pty     a_file_of_settings_counts_and_what_is_wrong_in_it_is_told_on_the_screen
A10 shell_pty     attached_it_shows_who_lives_changes_nothing_and_leaves_it_running
C5  pty           any_size_and_keys_in_pieces
C9  pty           keys_that_were_typed_while_it_hung_count_in_their_order
D2  panes         the_smallest_screens_show_every_node
D3  panes         healthy_in_unicode
D5  panes         no_size_breaks_a_screen_and_the_verdict_is_always_there
D8  panes         what_comes_from_outside_never_steers_the_terminal
E1  pty           it_starts_shows_the_ensemble_and_quits_without_a_trace
E3  pty           signals_end_it_with_their_code
E4  pty           a_panic_anywhere_restores_the_terminal_and_stops_the_children
E7  pty           a_terminal_that_goes_away_ends_it_with_and_without_the_signal
E10 pty           its_sudden_death_takes_even_stopped_children_along
E11 pty           its_sudden_death_during_the_start_leaves_nobody
E13 pty           it_can_be_suspended_and_comes_back
E16 supervisor    a_child_that_ignores_the_signal_is_killed_after_its_grace
E17 supervisor    the_ordered_stop_takes_paused_stubborn_and_forked_processes
F1  pty           a_node_that_is_stopped_from_outside_does_not_answer_and_is_not_called_paused
F4  flow          the_election_of_the_fixture_has_all_ballots
F6  pty           a_leader_that_is_cut_off_is_replaced_and_comes_back
F9  metrics       a_forked_log_is_in_the_verdict_and_in_the_events_until_it_is_dropped
F11 timeline      every_pane_shows_the_past_as_it_was_and_now_comes_back_without_a_gap
F12 timeline      a_recording_replays_to_the_same_screen
G1  model         lower_case_never_acts
G3  model         acts_say_what_they_want_done_and_undo_takes_them_back
G4  shell         an_attached_console_changes_nothing_by_default_and_says_why
H1  panes         styles_with_and_without_colour
H2  panes         degraded_in_ascii
H3  shell_pty     terminals_without_a_screen_are_told_what_to_do_and_poor_ones_are_served
H6  flow          messages_travel_only_with_motion_and_only_while_they_do
H7  shell_pty     lines_take_commands_and_move_no_cursor
I1  run           scenarios_pass_twice_with_one_seed_and_leave_nothing
I2  run           an_expectation_that_does_not_hold_is_exit_3_with_the_reason
I4  shell_pty     without_colour_nothing_has_one_and_the_screen_can_be_kept
I5  shell_pty     the_small_subcommands_print_paths_and_mistakes
'
# id: a function of this script.
in_tmux='E6 kill_pane
E9 kill_console
G10 mouse_off
B7 tmux_cost'
measured=$(sed -n 's/^    check("\([A-Z0-9]*\)".*/\1/p' "$root/zw-tui/benches/console_checks/main.rs")
failed=0

report() { # ID pass|fail WORDS
    printf '%-4s %s  %s\n' "$1" "$2" "$3"
    if [[ $2 != pass ]]; then failed=1; fi
}

check_test() { # ID FILE TEST
    local out
    if out=$(cd "$root" && cargo test --quiet -p zw-tui --test "$2" -- --exact "$3" 2>&1) && grep -q '1 passed' <<<"$out"; then
        report "$1" pass "${3//_/ }"
    else
        report "$1" fail "cargo test -p zw-tui --test $2 -- --exact $3"
    fi
}

terminal() { tmux -L "zw-checks-$$" -f /dev/null "$@"; }
screen_has() { terminal capture-pane -p -t c | grep -q "$1"; }
children() { pgrep -f "$work"; }
nobody() { ! children; }

# A console below a shell, in a data directory that only it has.
open_console() { # [NODES BROKERS]
    local nodes=${1:-3} brokers=${2:-1}
    work=$(mktemp -d "$root/target/console-XXXXXX")
    terminal new-session -d -x 160 -y 45 -s c sh
    local base=$((10000 + RANDOM % 5000))
    terminal send-keys -t c "$bin/zw-tui --nodes $nodes --brokers $brokers --base-port $base --broker-base-port $((base + 50)) --data $work; echo EXIT=\$?" Enter
    wait_for 20 "a quorum" screen_has "quorum $nodes/$nodes"
}

close_console() {
    terminal kill-server 2>/dev/null || true
    wait_for 10 "all processes are gone" nobody || true
    rm -rf "$work"
}

kill_pane() {
    open_console
    local before=$SECONDS
    terminal kill-pane -t c
    if wait_for 5 "all processes are gone" nobody; then
        report E6 pass "all gone within $((SECONDS - before)) s of kill-pane"
    else
        report E6 fail "left: $(children | tr '\n' ' ')"
    fi
    close_console
}

kill_console() {
    open_console
    kill -KILL "$(pgrep -o -f "zw-tui .*$work")"
    if wait_for 3 "all children are gone" nobody; then
        report E9 pass "no child is left after kill -9 of the console"
    else
        report E9 fail "left: $(children | tr '\n' ' ')"
    fi
    close_console
}

mouse_off() {
    open_console
    local on off
    on=$(terminal display -p -t c '#{mouse_any_flag}')
    terminal send-keys -t c m
    wait_for 5 "the mouse is the terminal's" screen_has 'mouse off'
    off=$(terminal display -p -t c '#{mouse_any_flag}')
    if [[ $on$off == 10 ]]; then report G10 pass "m gives the mouse to the terminal"; else report G10 fail "flags $on, $off"; fi
    close_console
}

# What the terminal's own server has to do for a console that nothing happens to.
tmux_cost() {
    open_console 5 3
    sleep 5
    local server before after percent
    server=$(terminal display -p -t c '#{pid}')
    before=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
    sleep 30
    after=$(awk '{ print $14 + $15 }' "/proc/$server/stat")
    percent=$(awk -v ticks=$((after - before)) -v rate="$(getconf CLK_TCK)" 'BEGIN { printf "%.2f", ticks / rate / 30 * 100 }')
    if awk -v percent="$percent" 'BEGIN { exit percent > 0.5 }'; then
        report B7 pass "tmux uses $percent % of a core for 30 s of an idle console"
    else
        report B7 fail "tmux uses $percent % of a core for 30 s of an idle console (<= 0.5 %)"
    fi
    close_console
}

if [[ ${1:-} == --list ]]; then
    { awk 'NF { print $1 }' <<<"$tests"; awk '{ print $1 }' <<<"$in_tmux"; echo "$measured"; } | sort -V
    exit 0
fi
known=" $(awk 'NF { printf "%s ", $1 }' <<<"$tests"$'\n'"$in_tmux")$(tr '\n' ' ' <<<"$measured")"
for id in "$@"; do
    if [[ $known != *" $id "* ]]; then
        echo "there is no check $id; --list prints all" >&2
        exit 2
    fi
done
wanted() { (($# == 1)) || [[ " ${*:2} " == *" $1 "* ]]; }

while read -r id file name; do
    if [[ -n $id ]] && wanted "$id" "$@"; then check_test "$id" "$file" "$name"; fi
done <<<"$tests"
(cd "$root" && cargo build --quiet --release -p zw-tui)
while read -r id function; do
    if wanted "$id" "$@"; then
        if command -v tmux >/dev/null; then "$function"; else report "$id" fail "tmux is not installed"; fi
    fi
done <<<"$in_tmux"
ids=()
for id in $measured; do
    if wanted "$id" "$@"; then ids+=("$id"); fi
done
if ((${#ids[@]} > 0)); then
    (cd "$root" && RUST_BACKTRACE=0 cargo bench --quiet -p zw-tui --bench console_checks -- "${ids[@]}" 2>/dev/null) || failed=1
fi
exit "$failed"
