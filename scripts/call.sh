#!/usr/bin/env bash
# One test call through the running stack: SIPp calls from 127.0.0.2, which a provider's MATCH must
# name. TO= the number, CALL_SECONDS= the duration. If the mock runs, it reports what the AI heard.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

main() {
  local sip mock=()
  require_own_stack
  [ -n "$(docker compose ps --services --status running 2>/dev/null)" ] || fail "no stack is running" "make up"
  # In a checkout the image follows the sources.
  if ! is_installation; then scripts/build.sh sipp; fi
  sip="$(setting SIP_ADDRESS 127.0.0.1)"
  case ",$(setting COMPOSE_PROFILES)," in
    *,lab,*) mock=(--mock-url "$(mock_url http)") ;;
  esac
  # NET_RAW: it captures what arrives at the caller.
  exec docker run --rm --init --network host --read-only --tmpfs /tmp --cap-drop ALL --cap-add NET_RAW "$(image sipp)" \
    --to "${TO:-100}" --seconds "${CALL_SECONDS:-8}" \
    --sip "${sip/#0.0.0.0/127.0.0.1}:$(setting SIP_PORT 5060)" "${mock[@]}" "$@"
}

main "$@"
