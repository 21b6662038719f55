#!/usr/bin/env bash
# Removes containers of old bridges that have ended. `make up` runs it in the background. It also
# finishes the rollout of one that was killed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/lock.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh
. scripts/reloads.sh
. scripts/rollout.sh

# Whoever works is waited for.
LOCK_S=""
lock_stack
settle_bridges || true
tidy_bridges
