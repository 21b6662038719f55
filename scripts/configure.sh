#!/usr/bin/env bash
# Writes .env from .env.example, with random secrets. If .env exists, only prints which settings it
# lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/progress.sh
. scripts/settings.sh

SECRETS=(ARI_PASSWORD API_TOKEN CALLBACK_SECRET)
# Made in a new .env; one of before goes on without.
OPTIONAL_SECRETS=(BOT_TOKEN)

random_secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

write_settings() {
  local name expressions=()
  for name in "${SECRETS[@]}" "${OPTIONAL_SECRETS[@]}"; do expressions+=(-e "s/^$name=\$/$name=$(random_secret)/"); done
  (umask 077 && sed "${expressions[@]}" .env.example >.env.new)
  mv .env.new .env
}

# New settings of a later version have defaults: say so, change nothing.
report_new_settings() {
  local new
  new="$(comm -13 <(setting_names .env | sort) <(setting_names .env.example | sort) | xargs)"
  if [ -n "$new" ]; then step "note: .env lacks settings that .env.example explains; defaults apply: $new"; fi
}

report_unknown_settings() {
  local unknown
  unknown="$(unknown_settings | xargs)"
  if [ -n "$unknown" ]; then step "note: .env sets what is no setting, and does nothing: $unknown (see .env.example)"; fi
}

# A secret that is empty in .env gets no default anywhere: the stack would not start.
require_secrets() {
  local name
  for name in "${SECRETS[@]}"; do
    [ -n "$(setting "$name")$(setting "${name}_FILE")" ] ||
      fail ".env sets no $name" "put a random value there, such as $(random_secret)"
  done
}

main() {
  if [ -f .env ]; then
    report_new_settings
    report_unknown_settings
  else
    step "writing .env with random secrets …"
    write_settings
  fi
  require_secrets
  scripts/secrets.sh
}

main
