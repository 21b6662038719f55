#!/usr/bin/env bash
# One test call through the running lab: SIPp plays the provider pb_fintech. TO= the number, SECONDS= how long it talks.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

main() {
  [ -n "$(docker compose ps --services --status running 2>/dev/null)" ] || fail "no lab is running" "make up"
  docker image inspect "pipecat-bridge/sipp:${VERSION:-dev}" >/dev/null 2>&1 || scripts/build.sh sipp
  # NET_RAW: it captures what arrives at the caller.
  exec docker run --rm --init --network host --read-only --tmpfs /tmp --cap-drop ALL --cap-add NET_RAW \
    "pipecat-bridge/sipp:${VERSION:-dev}" \
    --to "${TO:-100}" --seconds "${CALL_SECONDS:-8}" \
    --sip "$(setting SIP_ADDRESS 127.0.0.1):$(setting SIP_PORT 5060)" \
    --mock-url "http://$(setting MOCK_ADDRESS 127.0.0.1):$(setting MOCK_PORT 8080)" "$@"
}

main "$@"
