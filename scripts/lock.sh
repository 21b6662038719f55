# shellcheck shell=bash
# Sourced: one script at a time changes a stack. Needs progress.sh.

LOCK_QUIET_S=3     # nothing is said about a shorter wait: tidy.sh works in the background
LOCK_S=75          # longer than a rollout takes; empty: without a limit

# lock_stack [DIRECTORY]: waits until no other script changes the stack of this directory [.], and
# keeps others away until this one ends, in whatever way. Scripts that it calls inherit the lock
# with file descriptor 9. What is to run on after it must not: `9<&-`.
lock_stack() {
  local directory="${1:-.}"
  [ ! /dev/fd/9 -ef "$directory" ] || return 0
  # The directory itself: nothing has to be written, and nobody removes it.
  exec 9<"$directory"
  if ! flock --wait "$LOCK_QUIET_S" 9; then
    step "waiting for another command that changes this stack ($(lock_holder "$directory")) …"
    # shellcheck disable=SC2086 # none or two
    flock ${LOCK_S:+--wait "$LOCK_S"} 9 ||
      fail "another command changes this stack: $(lock_holder "$directory")" "wait until it has ended, or end it with Ctrl-C"
  fi
  # Only a hint: a full disk is no reason to stop.
  { mkdir -p "$directory/.logs" && echo "${0##*/}, process $$" >"$directory/.logs/lock"; } 2>/dev/null || true
}

# lock_holder DIRECTORY: which script it is.
lock_holder() { cat "$1/.logs/lock" 2>/dev/null || echo "not known"; }
