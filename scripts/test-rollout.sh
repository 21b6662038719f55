#!/usr/bin/env bash
# Restarts of the bridge while 20 calls talk: by `make up`, at the end of DRAIN_S, and with one of
# the two bridges killed in the middle. A new caller comes each second, and each second another
# client of ARI dials. Nobody is cut or refused. Prints what the callers heard. Needs the images of
# asterisk, bridge, mock-pipecat and sipp.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh
. scripts/ports.sh
. scripts/lab.sh

CALLS=20


# The longest silence that an adopted call may have
SILENCE_MS=1500
# The same where a bridge was killed: a heartbeat more
KILLED_MS=4000
WAIT_S=40
HTTP=27090

in_lab() { (cd "$DIRECTORY" && "$@"); }

# sipp NAME OPTION...: SIPp in the background; what it measured is in NAME.json.
sipp() {
  local name="$1"
  shift
  docker run --rm --init --name "rollout-$name-$$" --network host --read-only --tmpfs /tmp --cap-drop ALL --cap-add NET_RAW \
    "$(image sipp)" --sip 127.0.0.1:27060 --json "$@" >"$DIRECTORY/$name.json" 2>"$DIRECTORY/$name.log" &
}

# live_records: calls in progress, by the records that both bridges share.
live_records() { api '/calls?state=active&limit=200' | { grep -o '"callId"' || true; } | wc -l; }

# api PATH: what the bridge's API answers.
api() {
  # shellcheck disable=SC2016 # the inner shell expands
  timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/'$HTTP' && printf "GET %s HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n" "$1" "$0" >&3 && cat <&3' "$(in_lab setting API_TOKEN)" "$1"
}

# until_true WHAT COMMAND...: within WAIT_S.
until_true() {
  local what="$1" deadline=$(($(date +%s) + WAIT_S))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$deadline" ] || fail "not within $WAIT_S s: $what"
    sleep 0.3
  done
}

# bridges: the ids of the containers of the bridge that run, the oldest first. Those of `docker
# compose run` are none.
bridges() {
  in_lab docker compose ps --quiet --status running bridge |
    xargs --no-run-if-empty docker inspect --format '{{index .Config.Labels "com.docker.compose.oneoff"}} {{index .Config.Labels "com.docker.compose.container-number"}} {{.Id}}' |
    { grep '^False ' || true; } | sort -k2 -n | cut -d' ' -f3
}
there_are() { [ "$(bridges | wc -l)" = "$1" ]; }
talking() { [ "$(live_records)" -ge "$1" ]; }
ready() { http_get 127.0.0.1 $HTTP /readyz | grep -q '"ready"'; }

# bridge N: the id of the Nth of them.
bridge() { bridges | sed -n "$1p"; }

# roll_out: a changed setting, and `make up`.
roll_out() {
  local setting="$1" value="$2"
  set_in_env "$setting" "$value"
  "$DIRECTORY/scripts/up.sh" </dev/null | sed 's/^/  /'
}

# originate N: as a back end that dials through ARI. Each dial is counted, with its status.
originate() {
  local i credentials
  credentials="$(printf '%s:%s' "$(in_lab setting ARI_USERNAME)" "$(in_lab setting ARI_PASSWORD)" | base64 -w0)"
  for ((i = 0; i < $1; i++)); do
    # shellcheck disable=SC2016 # the inner shell expands
    timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/27088 && printf "POST /ari/channels?endpoint=PJSIP/918045555102@pb_fintech&app=pipecat&appArgs=dial-$0&timeout=20 HTTP/1.0\r\nAuthorization: Basic %s\r\nContent-Length: 0\r\n\r\n" "$1" >&3 && head -n 1 <&3' "$i" "$credentials" || echo none
    sleep 1
  done >"$DIRECTORY/originate.log"
}

# figures NAME: what the callers of a run heard.
figures() {
  docker run --rm --interactive --network none --entrypoint node "$(image sipp)" -e '
    const reports = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const calls = reports.calls ?? reports;
    const answered = calls.filter(({ sip }) => sip.status === 200);
    const cut = answered.filter(({ sip }) => sip.endedBy === "them").length;
    const silences = answered.map(({ heard }) => {
      const end = heard.lastPacketMs;
      const audible = heard.segments.filter(({ sound }) => sound !== "silence");
      let last = audible[0]?.toMs ?? 0, longest = 0;
      for (const { fromMs, toMs } of audible) { longest = Math.max(longest, fromMs - last); last = Math.max(last, toMs); }
      return Math.round(Math.max(longest, (end ?? last) - last));
    });
    console.log(calls.length, answered.length, cut, Math.max(0, ...silences));
  ' <"$DIRECTORY/$1.json"
}

# adopted: how many calls a bridge has adopted, as the bots were told.
reconnected() { http_get 127.0.0.1 27080 /calls | { grep -o '"reconnected":true' || true; } | wc -l; }

# expect_heard NAME CALLS SILENCE_MS: all were answered, none was cut or was silent for longer.
expect_heard() {
  local placed answered cut silence
  read -r placed answered cut silence < <(figures "$1")
  step "  $1: $placed placed, $answered answered, $cut cut, longest silence $silence ms, bots reconnected so far $(reconnected)"
  [ "$answered $cut" = "$2 0" ] || fail "$1: $answered of $2 answered, $cut cut" "$(tail -n 3 "$DIRECTORY/$1.log")"
  [ "$silence" -le "$3" ] || fail "$1: a caller heard nothing for $silence ms"
}

rollout_under_load() {
  local waits
  step "$CALLS calls, a new caller and a dial each second; make up with a changed setting"
  sipp talk --to 102 --calls "$CALLS" --rate 10 --seconds 80
  waits=("$!")
  until_true "$CALLS calls talk" talking "$CALLS"
  sipp new --to 102 --from +4915112346 --local 127.0.0.2 --calls 24 --rate 1 --seconds 2
  waits+=("$!")
  sipp callee --scenario callee --local 127.0.0.2:5080 --calls 14 --seconds 1 --wait-seconds 30
  waits+=("$!")
  originate 14 &
  waits+=("$!")
  sleep 2
  roll_out ARI_TIMEOUT_MS 4000
  there_are 2 || fail "the old bridge has calls and does not run"
  # Plain compose waits for the calls of the old bridge, to start it anew. It is interrupted.
  in_lab timeout --signal INT 3 docker compose up --detach >"$DIRECTORY/plain.log" 2>&1 || true
  there_are 2 || fail "plain compose has ended the old bridge: $(cat "$DIRECTORY/plain.log")"
  "$DIRECTORY/scripts/up.sh" </dev/null | sed 's/^/  /'
  there_are 2 || fail "a second make up has ended the old bridge"
  # Both bridges take it, and the new one is the one that is asked.
  set_in_env MAX_CALLS 180
  in_lab scripts/reload.sh | sed 's/^/  /'
  there_are 2 || fail "a reload has ended the old bridge"
  in_lab scripts/doctor.sh | grep 'old bridge' || fail "doctor does not tell of the old bridge"
  wait "${waits[@]}" || true
  expect_heard talk "$CALLS" 400
  expect_heard new 24 400
  [ "$(grep -c ' 200 ' "$DIRECTORY/originate.log")" = 14 ] || fail "a dial of ARI was refused: $(sort "$DIRECTORY/originate.log" | uniq -c)"
  read -r _ answered cut _ < <(figures callee)
  step "  dials through ARI: 14 placed, $answered answered"
  [ "$answered $cut" = "14 0" ] || fail "of 14 dials $answered were answered, $cut cut"
  [ "$(reconnected)" = 0 ] || fail "$(reconnected) bots were connected anew"
  until_true "the old bridge ends when its calls have" there_are 1
  until_true "its container is removed" [ "$(in_lab docker compose ps --all --quiet bridge | wc -l)" = 1 ]
}

end_of_drain() {
  local before
  step "$CALLS calls at the end of DRAIN_S"
  before="$(reconnected)"
  # Applies to the bridge that runs, which is the old one soon.
  set_in_env DRAIN_S 3
  in_lab scripts/reload.sh
  sipp drained --to 102 --calls "$CALLS" --rate 10 --seconds 22
  local talk=$!
  until_true "$CALLS calls talk" talking "$CALLS"
  roll_out ARI_TIMEOUT_MS 3500
  until_true "the old bridge lets go" there_are 1
  wait "$talk" || true
  expect_heard drained "$CALLS" "$SILENCE_MS"
  [ "$(($(reconnected) - before))" = "$CALLS" ] || fail "$(($(reconnected) - before)) bots were connected anew, not $CALLS"
}

# expect_left VALUE: one bridge, with this ARI_TIMEOUT_MS, which Docker starts again.
expect_left() {
  local id
  until_true "one bridge is left" there_are 1
  id="$(bridge 1)"
  docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$id" | grep -x "ARI_TIMEOUT_MS=$1" >/dev/null ||
    fail "the bridge that is left is not the one with ARI_TIMEOUT_MS=$1"
  [ "$(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$id")" = unless-stopped ] ||
    fail "Docker does not start the bridge again that is left"
}

# interrupted SIGNAL VALUE LEFT: `make up` gets this signal before it has told the old bridge to
# end. The bridge with ARI_TIMEOUT_MS=LEFT is to be left.
interrupted() {
  local up
  step "make up gets SIG$1 while the new bridge comes up"
  set_in_env ARI_TIMEOUT_MS "$2"
  "$DIRECTORY/scripts/up.sh" </dev/null >"$DIRECTORY/interrupted.log" 2>&1 &
  up=$!
  until_true "a new bridge runs" there_are 2
  kill "-$1" "$up"
  wait "$up" || true
  expect_left "$3"
}

# abandoned: as after a reboot in the middle, two bridges run, and nobody has told the old one to
# end. The next `make up` does.
abandoned() {
  step "the old bridge runs, and nobody has told it to end: make up"
  set_in_env ARI_TIMEOUT_MS 4500
  in_lab docker compose up --detach --no-build --no-recreate --scale bridge=2 bridge >"$DIRECTORY/abandoned.log" 2>&1
  until_true "two bridges run" there_are 2
  "$DIRECTORY/scripts/up.sh" </dev/null | sed 's/^/  /'
  expect_left 4500
}

# refused: a new bridge that does not take the calls. The settings that it came with are gone with
# it, also for an old bridge that has to start again.
refused() {
  local id before status=0
  step "a new bridge that cannot start, and the old one dies after it"
  before="$(stored)"
  set_in_env HTTP_ADDRESS 192.0.2.1
  set_in_env MAX_CALLS 170
  "$DIRECTORY/scripts/up.sh" </dev/null >"$DIRECTORY/refused.log" 2>&1 || status=$?
  [ "$status" = 3 ] || fail "make up ended with $status, not with 3: $(tail -n 5 "$DIRECTORY/refused.log")"
  grep -q 'the new bridge did not take the calls' "$DIRECTORY/refused.log" || fail "not refused by the rollout"
  expect_left 4300
  [ "$(stored)" = "$before" ] || fail "the stored settings are not those of before"
  id="$(bridge 1)"
  docker exec "$id" bash -c 'kill -KILL -1' || true
  until_true "the old bridge starts again" started_again "$id"
  until_true "the old bridge is ready" ready
  set_in_env HTTP_ADDRESS 127.0.0.1
  set_in_env MAX_CALLS 180
}
# shellcheck disable=SC2016 # the inner shell expands
stored() { docker exec "$(bridge 1)" bash -c 'sha256sum <"$SETTINGS_FILE"; ls "${SETTINGS_FILE%/*}"'; }
started_again() { [ "$(docker inspect --format '{{.RestartCount}}' "$1")" -gt 0 ]; }

# quiet_reload: what became of a reload is told where the bridge logs nothing.
quiet_reload() {
  local level calls
  step "make reload, and LOG_LEVEL=silent"
  while read -r level calls; do
    set_in_env LOG_LEVEL "$level"
    set_in_env MAX_CALLS "$calls"
    in_lab scripts/reload.sh | tee "$DIRECTORY/reload.log"
    grep -q 'bridge: .*MAX_CALLS' "$DIRECTORY/reload.log" || fail "make reload does not say what it applied"
  done <<<$'silent 161\nsilent 162\ninfo 163'
}

# together: two `make up` at the same time make one rollout.
together() {
  local first
  step "two make up at the same time"
  set_in_env ARI_TIMEOUT_MS 4600
  "$DIRECTORY/scripts/up.sh" </dev/null >"$DIRECTORY/first.log" 2>&1 &
  first=$!
  "$DIRECTORY/scripts/up.sh" </dev/null >"$DIRECTORY/second.log" 2>&1 || fail "one make up failed: $(tail -n 5 "$DIRECTORY/second.log")"
  wait "$first" || fail "one make up failed: $(tail -n 5 "$DIRECTORY/first.log")"
  expect_left 4600
  [ "$(cat "$DIRECTORY/first.log" "$DIRECTORY/second.log" | grep -c 'a new bridge takes the new calls')" = 1 ] || fail "not one rollout"
}

# killed N NAME: the old bridge (1) or the new one (2) is killed while both run.
killed() {
  step "5 calls, and the $2 bridge is killed in the middle"
  sipp "$2" --to 102 --calls 5 --rate 10 --seconds 32
  local talk=$!
  until_true "5 calls talk" talking 5
  roll_out ARI_TIMEOUT_MS "$3"
  sipp "$2-later" --to 102 --from +4915112346 --calls 3 --rate 10 --seconds 10
  local later=$!
  until_true "8 calls talk" talking 8
  there_are 2 || fail "the old bridge has calls and does not run"
  # Not `docker kill`: after it Docker does not start the container again.
  docker exec "$(bridge "$1")" bash -c 'kill -KILL -1' || true
  until_true "a bridge is ready" ready
  wait "$talk" "$later" || true
  expect_heard "$2" 5 "$KILLED_MS"
  expect_heard "$2-later" 3 "$KILLED_MS"
}

main() {
  copy_lab
  "$DIRECTORY/scripts/configure.sh"
  set_ports
  set_in_env COMPOSE_PROJECT_NAME pipecat-bridge-test-rollout
  # compose would take them before those in .env.
  unset VERSION ASTERISK_VERSION
  "$DIRECTORY/scripts/up.sh"
  rollout_under_load
  end_of_drain
  set_in_env DRAIN_S 1800
  in_lab scripts/reload.sh
  killed 1 old 4100
  killed 2 new 4200
  until_true "one bridge is left" there_are 1
  interrupted KILL 4300 4300
  interrupted HUP 4400 4300
  refused
  abandoned
  together
  quiet_reload
  step "fine"
}

main
