#!/usr/bin/env bash
# Calls of all kinds on a real stack, with faults and planned acts, in the e2e image: MINUTES
# (default 60), CALLS at a time (default 12), SEED to repeat the plan of a run. Its containers have
# ports of their own, beside a running lab's. The last line has the seed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

CONTAINER="pipecat-bridge-soak-$$"

# Ctrl-C: removes the soak's container, and those that it has started (by their label).
remove_containers() {
  docker rm --force "$CONTAINER" >/dev/null 2>&1 || true
  docker ps --all --quiet --filter label=pipecat-bridge.e2e | xargs --no-run-if-empty docker rm --force --volumes >/dev/null 2>&1 || true
  docker volume ls --quiet --filter name=pipecat-bridge-e2e | xargs --no-run-if-empty docker volume rm >/dev/null 2>&1 || true
}
trap 'remove_containers; exit 130' INT TERM

scripts/host.sh
scripts/base.sh
scripts/build.sh e2e asterisk bridge mock-pipecat sipp
docker run --rm --init --name "$CONTAINER" --workdir /app/e2e --network host \
  --volume /var/run/docker.sock:/var/run/docker.sock --env VERSION \
  --env MINUTES="${MINUTES:-60}" --env CALLS="${CALLS:-12}" --env SEED="${SEED:-}" \
  "$(image e2e)" node soak/main.ts
