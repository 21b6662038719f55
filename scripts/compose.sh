#!/usr/bin/env bash
# A command of compose on this directory's stack. compose itself would take another directory's
# stack of the same name.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

require_own_stack
exec docker compose "$@"
