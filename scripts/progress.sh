# shellcheck shell=bash
# Progress for the person at the terminal: sourced by every script that takes more than a moment.
# One clock for a whole `make` run: the first script starts it, those it calls inherit it.
export STARTED_AT="${STARTED_AT:-$(date +%s)}"

# uptime_s: whole seconds of a clock that nobody sets.
uptime_s() { cut -d. -f1 /proc/uptime; }

# step TEXT: says what happens now, with the seconds since the start of the run.
step() { printf '[%3ds] %s\n' "$(($(date +%s) - STARTED_AT))" "$*"; }

# on_interrupt [COMMAND]: what Ctrl-C, SIGTERM and a terminal that is gone run before they end the
# script. Its status is then UNCHANGED_STATUS as long as that is set, else 130.
# shellcheck disable=SC2064 # the command of now
on_interrupt() { trap "${1:+$1; }exit \"\${UNCHANGED_STATUS:-130}\"" INT TERM HUP; }

# fail TEXT [TEXT...]: says what went wrong and, one a line, what to do; ends the script. As long as
# UNCHANGED_STATUS is set the exit status is that: nothing that runs has been touched yet.
fail() {
  printf '\n[%3ds] FAILED: %s\n' "$(($(date +%s) - STARTED_AT))" "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit "${UNCHANGED_STATUS:-1}"
}

# open_logs: makes the folder of the logs. A full disk is said here: a step that fails since its log
# cannot be written would have no reason to show.
open_logs() {
  { mkdir -p .logs && echo >.logs/check.log; } || fail "$PWD/.logs cannot be written" "free space on its disk: df -h .logs"
}

# quietly LOG COMMAND...: runs the command or function with its output in LOG. On failure shows the
# end of the log and ends the script. Not for use in a condition: bash would then continue after an
# error.
quietly() {
  local log="$1" status
  shift
  mkdir -p "$(dirname "$log")"
  set +e
  (set -e && "$@") >"$log" 2>&1
  status=$?
  set -e
  [ "$status" = 0 ] && return
  tail -n 30 "$log" >&2
  fail "$(basename "$0"): $1 ended with status $status" "the whole log: $log"
}
