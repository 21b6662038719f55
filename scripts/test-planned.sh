#!/usr/bin/env bash
# What an operator does to a lab with a call in progress: what has not changed is left alone, no
# call is cut unless the operator asks for it, and the records say who ended a call. Needs the
# images of asterisk, bridge, mock-pipecat and sipp.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/lab.sh

WAIT_S=20
TAG="$(image bridge)" && TAG="${TAG##*:}"
# All images but Asterisk's
RETAGGED=(bridge mock-pipecat sipp)
FILE=asterisk/providers/pb_fintech.env

# up STATUS FLAG...: `make up` in the lab; ends the test where its exit status is another one.
up() {
  local expected="$1" status=0
  shift
  "$DIRECTORY/scripts/up.sh" "$@" </dev/null || status=$?
  [ "$status" = "$expected" ] || fail "up.sh $* ended with $status, not with $expected"
}

in_lab() { (cd "$DIRECTORY" && "$@"); }

# started SERVICE: which container runs since when.
started() { docker inspect --format '{{.Id}} {{.State.StartedAt}}' "$(in_lab docker compose ps --quiet "$1")"; }

# remember; expect_same SERVICE; expect_other SERVICE: whether it was started anew since.
declare -A before=()
remember() {
  local service
  for service in asterisk bridge; do before[$service]="$(started "$service")"; done
}
expect_same() { [ "$(started "$1")" = "${before[$1]}" ] || fail "$1 was started anew"; }
expect_other() { [ "$(started "$1")" != "${before[$1]}" ] || fail "$1 was not started anew"; }

calls_active() { http_get 127.0.0.1 27090 /metrics | sed -n 's/^[a-z_]*calls_active //p'; }

# wait_for NUMBER: until that number of calls is in progress.
wait_for() {
  local deadline=$(($(date +%s) + WAIT_S))
  until [ "$(calls_active)" = "$1" ]; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "there are $(calls_active) calls after $WAIT_S s, not $1" "the last call: $(cat "$DIRECTORY/call.log" 2>/dev/null)"
    sleep 0.2
  done
}

wait_until_ready() {
  local deadline=$(($(date +%s) + WAIT_S))
  until http_get 127.0.0.1 27090 /readyz | grep -q '"ready"'; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "the bridge is not ready after $WAIT_S s"
    sleep 0.2
  done
}

# call SECONDS: a call in the background, until it has been taken.
call() {
  (CALL_SECONDS="$1" in_lab scripts/call.sh >"$DIRECTORY/call.log" 2>&1) &
  wait_for 1
}

# expect_record REASON: of the last call.
expect_record() {
  local record
  # shellcheck disable=SC2016 # the inner shell expands
  record="$(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/27090 && printf "GET /calls?limit=1 HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n" "$1" >&3 && cat <&3' - "$(in_lab setting API_TOKEN)")"
  grep -q "\"endReason\":\"$1\"" <<<"$record" || fail "the last record does not say $1: $record"
}

nothing_changed() {
  step "nothing has changed, but a comment"
  remember
  up 0
  in_lab docker compose up --detach
  echo '# a comment' >>"$DIRECTORY/$FILE"
  up 0
  expect_same asterisk
  expect_same bridge
}

# expect_qualify SECONDS: what Asterisk has of the provider's file.
expect_qualify() {
  in_lab docker compose exec --no-TTY asterisk asterisk -rx 'pjsip show aor pb_fintech' </dev/null |
    grep -qE "^ *qualify_frequency +: $1" || fail "Asterisk does not have QUALIFY_SECONDS=$1"
}

reloaded() {
  step "make reload with a call in progress: settings and a provider's file apply, nothing restarts"
  call 240
  remember
  echo 'QUALIFY_SECONDS=30' >>"$DIRECTORY/$FILE"
  set_in_env MAX_CALLS 99
  in_lab scripts/reload.sh | tee "$DIRECTORY/reload.log"
  grep -q 'bridge: MAX_CALLS$' "$DIRECTORY/reload.log" || fail "make reload does not say what it applied"
  expect_qualify 30
  up 0
  step "make up does the same where that suffices"
  sed -i 's/^QUALIFY_SECONDS=.*/QUALIFY_SECONDS=40/' "$DIRECTORY/$FILE"
  up 0
  expect_qualify 40
  step "a file with a fault is refused, and what needs a restart is named"
  echo 'DTMF=smoke' >>"$DIRECTORY/$FILE"
  if in_lab scripts/reload.sh; then fail "make reload takes a file with a fault"; fi
  sed -i '/^DTMF=/d' "$DIRECTORY/$FILE"
  set_in_env ARI_TIMEOUT_MS 4500
  in_lab scripts/reload.sh | tee "$DIRECTORY/reload.log"
  grep -q 'bridge needs a restart .*: ARI_TIMEOUT_MS$' "$DIRECTORY/reload.log" || fail "make reload does not name what needs a restart"
  set_in_env ARI_TIMEOUT_MS ''
  up 0
  expect_same asterisk
  expect_same bridge
  wait_for 1
}

nothing_unasked() {
  step "a change of Asterisk with that call in progress: refused without --drain or --now"
  remember
  set_in_env BRIDGE_WAIT_S 9
  up 3
  set_in_env BRIDGE_WAIT_S ''
  step "a file with a fault, whatever is asked for"
  echo 'CODEC=ulaw' >>"$DIRECTORY/$FILE"
  up 3 --now
  sed -i '/^CODEC=/d' "$DIRECTORY/$FILE"
  expect_same asterisk
  expect_same bridge
  wait_for 1
}

new_version() {
  local name
  step "a new version with the same Asterisk, --now: Asterisk goes on"
  for name in "${RETAGGED[@]}"; do docker tag "pipecat-bridge/$name:$TAG" "pipecat-bridge/$name:$TAG-again"; done
  set_in_env VERSION "$TAG-again"
  up 0 --now
  expect_same asterisk
  expect_other bridge
  expect_record shutdown
}

asterisk_too() {
  step "a change of Asterisk, --now: the bridge stops first"
  call 120
  remember
  set_in_env ASTERISK_VERBOSE 1
  up 0 --now
  expect_other asterisk
  expect_other bridge
  expect_record shutdown
}

compose_alone() {
  step "docker compose restart asterisk: it tells the bridge first"
  call 120
  in_lab docker compose restart asterisk
  in_lab docker compose up --detach --wait
  expect_record shutdown
  step "docker compose stop: the bridge stops first"
  wait_until_ready
  call 120
  in_lab docker compose stop
  in_lab docker compose up --detach --wait
  expect_record shutdown
}

drained() {
  step "--drain: the call goes on to its end, new ones get 503"
  call 40
  remember
  set_in_env BRIDGE_WAIT_S 8
  up 0 --drain >"$DIRECTORY/drain.log" 2>&1 &
  local draining=$! deadline=$(($(date +%s) + 2 * WAIT_S))
  until grep -q 'call(s) go on' "$DIRECTORY/drain.log"; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "no drain: $(cat "$DIRECTORY/drain.log")"
    sleep 0.2
  done
  (CALL_SECONDS=1 in_lab scripts/call.sh || true) | tee "$DIRECTORY/refused.log"
  grep -q '^SIP .* 503' "$DIRECTORY/refused.log" || fail "a new call was not turned away with 503"
  wait "$draining" || fail "the drain: $(cat "$DIRECTORY/drain.log")"
  grep -q 'ended by this end' "$DIRECTORY/call.log" || fail "the call was cut: $(cat "$DIRECTORY/call.log")"
  expect_other asterisk
  expect_other bridge
}

main() {
  local name
  copy_lab
  "$DIRECTORY/scripts/configure.sh"
  set_ports
  # compose would take them before those in .env.
  unset VERSION ASTERISK_VERSION
  # As install.sh does.
  set_in_env ASTERISK_VERSION "$TAG"
  set_in_env STOP_DRAIN_S 1
  "$DIRECTORY/scripts/up.sh"
  nothing_changed
  reloaded
  nothing_unasked
  new_version
  asterisk_too
  drained
  compose_alone
  for name in "${RETAGGED[@]}"; do docker image rm "pipecat-bridge/$name:$TAG-again" >/dev/null; done
  step "fine"
}

main
