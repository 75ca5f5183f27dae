#!/usr/bin/env bash
# Breaks the core's protocol, log and tree in small ways, one at a time, and lists what no test notices.
#
#   scripts/mutants.sh [zab|log|tree|PATH...]      (all three folders; or files of zw-core/src)
#
# The tool: cargo install --locked cargo-mutants. Each mutant costs some seconds of a core, the whole several hours;
# ZW_JOBS runs so many at a time. docs/mutants.md tells which survivors are known, and why they live.
#
# First the core's own tests; what they miss meets the small worlds and the 500 seeds of the simulator's gate.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(($# > 0)) || set -- zab log tree
files=()
for name in "$@"; do
    case $name in
        zab | log | tree) files+=(--file "zw-core/src/$name/**") ;;
        zw-core/src/*.rs) files+=(--file "$name") ;;
        *) echo 'usage: mutants.sh [zab|log|tree|zw-core/src/FILE.rs...]' >&2; exit 2 ;;
    esac
done
cargo mutants --version >/dev/null 2>&1 || { say 'cargo-mutants is wanted: cargo install --locked cargo-mutants'; exit 2; }

out=${ZW_MUTANTS:-$root/target/mutants}
mkdir -p "$out"
cd "$root"
# A mutant that loops and allocates must not take the machine with it.
ulimit -v $((16 * 1024 * 1024))
export RUST_BACKTRACE=0 PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=1

# stage LEAST_SECONDS ARGUMENTS...: survivors and timeouts are no failure of this script, a broken baseline is.
stage() {
    local seconds=$1 status=0
    shift
    cargo mutants --no-default-features --jobs "${ZW_JOBS:-1}" --minimum-test-timeout "$seconds" --output "$out" \
        --package zw-core "${files[@]}" "$@" >&2 || status=$?
    ((status == 0 || status == 2 || status == 3)) || { say "cargo mutants failed with status $status"; exit 1; }
}

say "first stage: the tests of the core"
rm -rf "$out/mutants.out" "$out/mutants.out.old"
stage 60 --profile mutants -C=--lib -C=--test=scenarios -C=--test=zab -C=--test=zab_edges \
    -C=--test=zab_regressions -C=--test=log_recovery -C=--test=tree_model -C=--test=tree_edges -C=--test=snapshot_edges
cp "$out/mutants.out/timeout.txt" "$out/timeout.txt"
count() { wc -l <"$out/mutants.out/$1.txt"; }
tested=$(cat "$out"/mutants.out/{caught,missed,timeout,unviable}.txt | wc -l)
first="$tested mutants: $(count caught) caught, $(count timeout) timed out, $(count unviable) do not compile"
if (($(count missed) > 0)); then
    say "second stage: small worlds and seeds, for $(count missed) mutants"
    # A test that does not end has noticed.
    cat "$out/mutants.out/timeout.txt" >>"$out/mutants.out/caught.txt"
    stage 900 --iterate --test-package zw-core --test-package zw-sim -C=--test=small_worlds -C=--test=gate
fi
echo "$first in the first stage; $(count missed) survive both"
cat "$out/mutants.out/missed.txt"
if [[ -s $out/timeout.txt ]]; then
    echo "did not end within a minute; on a busy machine that may be no verdict:"
    cat "$out/timeout.txt"
fi
