#!/usr/bin/env bash
# Fuzzes what is parsed or computed from outside, in the e2e image: MINUTES (default 1), SEED to
# repeat a run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

scripts/host.sh
scripts/base.sh
scripts/build.sh e2e
# No network, no rights: the targets need none.
docker run --rm --init --network none --user 65534:65534 --read-only --tmpfs /tmp --cap-drop ALL \
  --security-opt no-new-privileges --workdir /app/bridge "$(image e2e)" \
  node fuzz/main.ts "${MINUTES:-1}" ${SEED:+"$SEED"}
