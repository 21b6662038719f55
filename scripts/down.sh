#!/usr/bin/env bash
# Stops the stack and removes its containers, whatever profiles are on now. Calls in progress go on
# for STOP_DRAIN_S; with NOW=1 they end at once. ALL=1 stops the stack of this name also where
# another directory has started it, or a part of it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/lock.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh
. scripts/rollout.sh

docker info >/dev/null 2>&1 || { step "no Docker engine answers: nothing runs"; exit 0; }
if [ -z "${ALL:-}" ]; then require_own_stack; fi
lock_stack
[ -n "$(docker compose --profile '*' ps --all --quiet)" ] || { step "nothing runs"; exit 0; }

calls="$(live_calls bridge)"
if [ -n "${NOW:-}" ]; then cuts_now=yes; elif [ "$calls" != 0 ]; then
  step "$calls call(s) in progress may go on for $(setting STOP_DRAIN_S 60) s; to end them at once: make down NOW=1"
fi
step "stopping the stack …"
# Before Asterisk, and before a bot of the lab.
quietly "$PWD/.logs/down.log" stop_bridge
quietly "$PWD/.logs/down.log" docker compose --profile '*' down --remove-orphans
write_count 1
step "the stack is down"
