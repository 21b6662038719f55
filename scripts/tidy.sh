#!/usr/bin/env bash
# Removes containers of old bridges that have ended. `make up` runs it in the background.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/settings.sh
. scripts/ports.sh
. scripts/cuts.sh
. scripts/rollout.sh

tidy_bridges
