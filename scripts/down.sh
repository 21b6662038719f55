#!/usr/bin/env bash
# Stops the stack and removes its containers, whatever profiles are on now.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

docker info >/dev/null 2>&1 || { step "no Docker engine answers: nothing runs"; exit 0; }
require_own_stack
[ -n "$(docker compose --profile '*' ps --all --quiet)" ] || { step "nothing runs"; exit 0; }
step "stopping the stack …"
quietly "$PWD/.logs/down.log" docker compose --profile '*' down --remove-orphans
step "the stack is down"
