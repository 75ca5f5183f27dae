#!/usr/bin/env bash
# Makes the checks of the console: a line for each with its id, pass or fail, and what was measured. Those that measure run
# in a pseudo terminal (zw-tui/benches/console_checks), those that only hold or not are tests by name, and those about a
# terminal that goes away or a shell beneath run in tmux. Ends with 0 only if all pass. On a quiet machine.
#
#   scripts/console-checks.sh [ID...]     (all without an ID: some 90 minutes, most of them for B6, which
#   ZW_CHECK_MEMORY_SECONDS shortens, and 10 for E12, which ZW_IDLE_MINUTES shortens; --list prints the ids)
#
# What no machine here can check, or what the console does not have, is named with its reason and the word `none`, and
# fails nothing.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# id, test file, test: what must hold is said in the test.
tests='
A4  pty          a_port_that_is_taken_meanwhile_is_named_and_the_others_serve
A6  pty          a_second_console_on_the_same_data_is_refused
A8  shell_pty    a_file_of_settings_counts_and_what_is_wrong_in_it_is_told_on_the_screen
A10 shell_pty    attached_it_shows_who_lives_changes_nothing_and_leaves_it_running
C5  pty          any_size_and_keys_in_pieces
C8  checks       a_word_that_is_pasted_as_keys_changes_nothing
C9  pty          keys_that_were_typed_while_it_hung_count_in_their_order
D2  panes        the_smallest_screens_show_every_node
D3  panes        healthy_in_unicode
D5  panes        no_size_breaks_a_screen_and_the_verdict_is_always_there
D8  panes        what_comes_from_outside_never_steers_the_terminal
E1  pty          it_starts_shows_the_ensemble_and_quits_without_a_trace
E3  pty          signals_end_it_with_their_code
E4  pty          a_panic_anywhere_restores_the_terminal_and_stops_the_children
E5  checks_pty   a_panic_while_it_restores_the_terminal_leaves_it_sane_all_the_same
E7  pty          a_terminal_that_goes_away_ends_it_with_and_without_the_signal
E8  checks_pty   a_terminal_that_goes_away_while_it_is_written_to_ends_it
E10 pty          its_sudden_death_takes_even_stopped_children_along
E11 pty          its_sudden_death_during_the_start_leaves_nobody
E13 pty          it_can_be_suspended_and_comes_back
E14 detach_pty   it_detaches_and_comes_back_to_the_same_processes_with_its_history
E15 checks_pty   full_disks_are_told_of_and_survived
E16 supervisor   a_child_that_ignores_the_signal_is_killed_after_its_grace
E17 supervisor   the_ordered_stop_takes_paused_stubborn_and_forked_processes
E18 editor_pty   an_editor_that_is_killed_or_fails_leaves_the_screen_intact_and_the_value_unchanged
F1  pty          a_node_that_is_stopped_from_outside_does_not_answer_and_is_not_called_paused
F2  checks       who_is_paused_here_is_shown_so_at_once
F4  flow         the_election_of_the_fixture_has_all_ballots
F5  checks_pty   without_a_quorum_a_write_fails_in_time_with_its_reason_and_keeps_its_text
F6  pty          a_leader_that_is_cut_off_is_replaced_and_comes_back
F7  checks       who_is_not_seen_is_not_called_healthy_and_what_was_known_has_its_age
F8  checks_pty   the_numbers_are_the_nodes_own_or_have_their_age
F9  metrics      a_forked_log_is_in_the_verdict_and_in_the_events_until_it_is_dropped
F10 checks       events_that_are_read_stand_still_while_others_come
F11 timeline     every_pane_shows_the_past_as_it_was_and_now_comes_back_without_a_gap
F12 timeline     a_recording_replays_to_the_same_screen
G1  model        lower_case_never_acts
G2  checks       a_question_about_data_is_answered_by_nothing_but_its_answer
G3  model        acts_say_what_they_want_done_and_undo_takes_them_back
G4  shell        an_attached_console_changes_nothing_by_default_and_says_why
G5  checks       the_help_has_every_action_and_runs_what_is_found
G6  discovery    no_hint_is_a_key_that_does_nothing
G8  acts         tab_knows_verbs_members_paths_scenarios_and_themes
G9  checks_pty   a_copy_goes_through_tmux_or_into_a_file_and_says_which
H1  panes        styles_with_and_without_colour
H2  panes        degraded_in_ascii
H3  shell_pty    terminals_without_a_screen_are_told_what_to_do_and_poor_ones_are_served
H4  lib          theme::palettes::tests::every_text_stands_out_from_the_background
H5  views        who_is_what_is_told_without_colour
H6  flow         messages_travel_only_with_motion_and_only_while_they_do
H7  shell_pty    lines_take_commands_and_move_no_cursor
I1  run          scenarios_pass_twice_with_one_seed_and_leave_nothing
I2  run          an_expectation_that_does_not_hold_is_exit_3_with_the_reason
I3  lib          action::manual::tests::the_manual_has_the_table
I4  shell_pty    without_colour_nothing_has_one_and_the_screen_can_be_kept
I5  shell_pty    the_small_subcommands_print_paths_and_mistakes
'
# id: a function of this script.
in_tmux='B7 tmux_cost
C4 mixed_keys
E6 kill_pane
E9 kill_console
E12 idle
G10 mouse_off
H8 late_answers'
# id: why nothing checks it.
none='G7 a matter for people: docs/tour.md has them try it'
measured=$(sed -n 's/^ *\(check(\)\{0,1\}"\([A-Z][0-9]*\)",.*/\2/p' "$root/zw-tui/benches/console_checks/main.rs")
failed=0

report() { # ID pass|fail|none WORDS
    printf '%-4s %s  %s\n' "$1" "$2" "$3"
    if [[ $2 == fail ]]; then failed=1; fi
}

check_test() { # ID FILE TEST
    local out where=(--test "$2") name=${3##*::}
    if [[ $2 == lib ]]; then where=(--lib); fi
    if out=$(cd "$root" && cargo test --quiet -p zw-tui "${where[@]}" -- --exact "$3" --nocapture 2>&1) &&
        grep -q '1 passed' <<<"$out"; then
        if grep -q '^not made: ' <<<"$out"; then
            report "$1" none "$(sed -n 's/^not made: //p' <<<"$out" | head -n 1)"
        else
            report "$1" pass "${name//_/ }"
        fi
    else
        report "$1" fail "cargo test -p zw-tui ${where[*]} -- --exact $3"
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
    if ! wait_for 10 "all processes are gone" nobody; then
        local left
        left=$(children) || true
        # shellcheck disable=SC2086
        kill -KILL $left 2>/dev/null || true
        wait_for 5 "those that were killed are gone" nobody || true
    fi
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

mixed_keys() {
    open_console
    local failed_at=
    # Each line: what must be seen, then the keys.
    while read -r seen keys; do
        # shellcheck disable=SC2086
        terminal send-keys -t c $keys
        wait_for 5 "$seen after $keys" screen_has "${seen//_/ }" || { failed_at="$seen after $keys"; break; }
    done <<'KEYS'
>_n2 Down
>_n3 j
>_n2 Up
>_n1 Home
>_n3 End
>_n1 PPage
>_n3 NPage
Help:_all F1
search:_ki k i
search:_k BSpace Left Right
4_Tree_of Escape
t_range__10_min 5 t
t_range__1_h Left Right t Up Down
:nodes : n o d e s
>_n2 Enter C-l g j
>_n1 1 Down Up Up k Home j j PPage
KEYS
    if [[ -z $failed_at ]]; then report C4 pass "each of some 40 keys had its effect"; else report C4 fail "$failed_at"; fi
    close_console
}

idle() {
    open_console
    local minutes=${ZW_IDLE_MINUTES:-10} before after
    before=$(children | sort)
    sleep $((minutes * 60))
    after=$(children | sort)
    if [[ $before == "$after" ]] && screen_has 'HEALTHY'; then
        report E12 pass "the same $(wc -l <<<"$after") processes after $minutes minutes"
    else
        report E12 fail "before: ${before//$'\n'/ }; after: ${after//$'\n'/ }"
    fi
    close_console
}

# Answers that a terminal gives to questions that nobody here asked, or asked long ago.
answers=$'\e]11;rgb:1616/1818/1d1d\e\\\e[?62;22;52c\e[12;40R\eP>|terminal 3.3a\e\\\e[?2026;2$y'
stray() { terminal capture-pane -p -t c | grep -qE 'rgb:|1616|62;22|12;40|terminal 3|2026;2'; }

late_answers() {
    local round stray=0 base=$((10000 + RANDOM % 5000))
    work=$(mktemp -d "$root/target/console-XXXXXX")
    terminal new-session -d -x 160 -y 45 -s c sh
    for round in $(seq 20); do
        terminal send-keys -t c "clear; $bin/zw-tui --nodes 1 --brokers 0 --base-port $base --data $work; echo END=$round" Enter
        wait_for 20 "the screen of start $round" screen_has 'quorum' || stray=$((stray + 1))
        terminal send-keys -t c -l "$answers"
        wait_for 20 "a quorum in start $round" screen_has 'quorum 1/1' || stray=$((stray + 1))
        terminal send-keys -t c -l "$answers"
        terminal send-keys -t c -l ":nodes"
        wait_for 5 "what is typed" screen_has ':nodes' || stray=$((stray + 1))
        if stray; then stray=$((stray + 1)); fi
        # Those that nobody has read when it leaves must not reach the shell either.
        terminal send-keys -t c -l "$answers"
        # The first leaves the line that is typed.
        terminal send-keys -t c C-c C-c
        wait_for 10 "the end of start $round" screen_has "END=$round" || stray=$((stray + 1))
        if stray; then stray=$((stray + 1)); fi
    done
    if ((stray == 0)); then report H8 pass "20 starts without a stray character"; else report H8 fail "$stray times"; fi
    close_console
}

all_ids() {
    awk 'NF { print $1 }' <<<"$tests"$'\n'"$in_tmux"$'\n'"$none"
    echo "$measured"
}
if [[ ${1:-} == --list ]]; then
    all_ids | sort -Vu
    exit 0
fi
known=" $(all_ids | tr '\n' ' ')"
for id in "$@"; do
    if [[ $known != *" $id "* ]]; then
        echo "there is no check $id; --list prints all" >&2
        exit 2
    fi
done
wanted() { (($# == 1)) || [[ " ${*:2} " == *" $1 "* ]]; }

while read -r id reason; do
    if wanted "$id" "$@"; then report "$id" none "$reason"; fi
done <<<"$none"
while read -r id file name; do
    if [[ -n $id ]] && wanted "$id" "$@"; then check_test "$id" "$file" "$name"; fi
done <<<"$tests"
is_built=${ZW_BIN:-}
while read -r id function <&3; do
    if wanted "$id" "$@"; then
        if ! command -v tmux >/dev/null; then
            report "$id" fail "tmux is not installed"
            continue
        fi
        if [[ -z $is_built ]]; then (cd "$root" && cargo build --quiet --release -p zw-tui); fi
        is_built=yes
        "$function"
    fi
done 3<<<"$in_tmux"
ids=()
for id in $measured; do
    if wanted "$id" "$@"; then ids+=("$id"); fi
done
if ((${#ids[@]} > 0)); then
    (cd "$root" && RUST_BACKTRACE=0 cargo bench --quiet -p zw-tui --bench console_checks -- "${ids[@]}" 2>/dev/null) || failed=1
fi
exit "$failed"
