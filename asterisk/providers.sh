# Provider files (NAME.env) to PJSIP sections. Sourced by entrypoint; the keys are documented in
# providers/README.md. The shellcheck rules that are off: arrays are passed by name, and entrypoint
# sets value, expected and providers.
# shellcheck shell=bash disable=SC2004,SC2034,SC2153,SC2154,SC2178

# key -> check of its value; empty if the bridge reads the key. From the one list of keys
# (provider-keys).
declare -A provider_keys=()
load_provider_keys() {
  local key reader expectation
  while read -r key reader expectation; do
    [[ $key =~ ^(#|$) ]] || provider_keys[$key]=$([[ $reader == asterisk ]] && echo "$expectation" || true)
  done <"${BASH_SOURCE[0]%/*}/provider-keys"
}
load_provider_keys
# Each file is read, checked and completed. Its sections are kept until all files are known to be
# correct.
declare -A matched=()     # network of calls that a provider sends -> the file that it is in
declare -A line_only=()   # registered provider -> 1: its calls are known by their line alone
declare -A contact_ports=() # provider -> a contact port of its own, and its protocol
said=()                   # what the files say, a line each, in an order of its own
notes=()                  # what an operator should know although nothing is wrong

# read_provider FILE ARRAY: the file's keys and values into the array, every line checked.
read_provider() {
  declare -n keys=$2
  local line key content expectation number=0 file=${1##*/}
  local -A seen=()
  while IFS= read -r line || [[ $line ]]; do
    number=$((number + 1))
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
    if [[ ! $line =~ ^([A-Z_]+)=(.*)$ ]]; then problem "$file:$number" 'is not KEY=value'; continue; fi
    key=${BASH_REMATCH[1]} content=${BASH_REMATCH[2]}
    if [[ ! -v provider_keys[$key] ]]; then
      problem "$file:$key" "is not a key that is known; the nearest is $(nearest_key "$key")"
      continue
    fi
    [[ ! -v seen[$key] ]] || problem "$file:$key" 'is there twice'
    seen[$key]=1
    expectation=${provider_keys[$key]}
    [[ -z $expectation || -z $content ]] && continue
    keys[$key]=$content
    [[ $expectation == any ]] || "is_$expectation" "$content" || problem "$file:$key" "'$content' is not ${expected[$expectation]}"
  done <"$1"
}

# nearest_key WORD: the shortest key of the list that contains the word (COUNTRY: COUNTRY_CODE),
# else the key with the most similar spelling.
nearest_key() {
  local LC_ALL=C key steps nearest='' fewest=999
  for key in "${!provider_keys[@]}"; do
    [[ $key == *"$1"* ]] || continue
    if ((${#key} < fewest)) || { ((${#key} == fewest)) && [[ $key < $nearest ]]; }; then fewest=${#key} nearest=$key; fi
  done
  if [[ $nearest ]]; then echo "$nearest"; return; fi
  for key in "${!provider_keys[@]}"; do
    steps=$(spelling_steps "$1" "$key" "$fewest")
    if ((steps < fewest)) || { ((steps == fewest)) && [[ $key < $nearest ]]; }; then fewest=$steps nearest=$key; fi
  done
  echo "$nearest"
}

# spelling_steps A B MAX: how many letters to insert, delete or change (Levenshtein distance). MAX +
# 1 if the lengths differ by more than MAX.
spelling_steps() {
  local a=$1 b=$2 i j left above steps
  local -a row=()
  steps=$((${#a} > ${#b} ? ${#a} - ${#b} : ${#b} - ${#a}))
  if ((steps > $3)); then echo $(($3 + 1)); return; fi
  for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
  for ((i = 1; i <= ${#a}; i++)); do
    left=$((i - 1)) row[0]=$i
    for ((j = 1; j <= ${#b}; j++)); do
      above=${row[j]}
      [[ ${a:i-1:1} == "${b:j-1:1}" ]] && steps=$left || steps=$((left + 1))
      ((row[j] + 1 < steps)) && steps=$((row[j] + 1))
      ((row[j - 1] + 1 < steps)) && steps=$((row[j - 1] + 1))
      row[j]=$steps left=$above
    done
  done
  echo "${row[${#b}]}"
}

# provider_password FILE ARRAY: PASSWORD, from PASSWORD_FILE or from the variable that
# PASSWORD_VARIABLE names.
provider_password() {
  declare -n account=$2
  local file=$1 variable=${account[PASSWORD_VARIABLE]:-}
  if [[ ${account[PASSWORD_FILE]:-} ]]; then read_secret "$file:PASSWORD_FILE" "${account[PASSWORD_FILE]}" 'account[PASSWORD]' password
  elif [[ $variable && ! $variable =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
    # Its value is not told: it may be the password itself.
    problem "$file:PASSWORD_VARIABLE" 'is not the name of a variable'
  elif [[ $variable ]]; then
    account[PASSWORD]=${!variable:-}
    is_password "${account[PASSWORD]}" || problem "$file:PASSWORD_VARIABLE" "the variable $variable does not hold ${expected[password]}"
  elif [[ ${account[USERNAME]:-} ]]; then
    problem "$file:PASSWORD_FILE" 'is missing, expected a file (or PASSWORD_VARIABLE, a variable) with the password of USERNAME'
  fi
}

# check_provider NAME FILE ARRAY: says which keys are missing.
check_provider() {
  declare -n p=$3
  local key needed=(MATCH)
  # Asterisk has one such limit for all legs: if one provider needs it, sources are learnt for all.
  [[ ${p[NAT]:-} != yes ]] || value[RTP_PROBATION]=4
  is_name "$1" || problem "$2" "the name before .env is the provider's: ${expected[name]}"
  [[ ${p[AUTH]:-} == registration ]] && needed=(HOST USERNAME)
  for key in AUTH "${needed[@]}"; do
    [[ ${p[$key]:-} ]] || problem "$2:$key" "is missing, expected ${expected[${provider_keys[$key]}]}"
  done
  [[ -z ${p[CONTACT_PORT]:-} ]] || contact_ports[$1]="${p[TRANSPORT]:-udp} ${p[CONTACT_PORT]}"
  check_free "$2:CONTACT_PORT" "${value[SIP_ADDRESS]}" "${p[CONTACT_PORT]:-}"
  provider_password "$2" "$3"
}

# claim_sources NAME FILE ARRAY: two providers may not send calls from the same address, since these
# calls could belong to either. Two lines at one registrar may: their calls are identified by their
# line alone.
claim_sources() {
  declare -n p=$3
  local item other host=${p[HOST]:-} kind=MATCH
  local -a sources
  IFS=, read -ra sources <<<"${p[MATCH]:-}"
  if ((${#sources[@]} == 0)); then kind=HOST; mapfile -t sources < <(addresses_of "${host%%:*}"); fi
  for item in "${sources[@]}"; do
    is_networks "$item" || continue
    for other in "${!matched[@]}"; do
      [[ ${matched[$other]%%:*} != "$2" ]] && networks_overlap "$item" "$other" || continue
      if [[ $kind == HOST && ${matched[$other]} == *:HOST ]]; then
        line_only[$1]=1 line_only[${matched[$other]%.env:HOST}]=1
      else
        problem "$2:$kind" "'$item' overlaps '$other' of ${matched[$other]/:/, }: its calls could be of either"
      fi
    done
    matched[$item]=$2:$kind
  done
}

# addresses_of HOST: its IPv4 addresses, a line each; none where its name cannot be resolved now.
addresses_of() {
  [[ $1 ]] || return 0
  if is_address "$1"; then echo "$1"; else getent ahostsv4 "$1" | cut -d' ' -f1 | sort -u; fi
}

# complete_provider NAME ARRAY: defaults, and the values that the templates derive from the keys.
complete_provider() {
  declare -n p=$2
  local key host over=''
  for key in "${!provider_keys[@]}" PASSWORD; do p[$key]=${p[$key]:-}; done
  p[NAME]=$1
  p[PROTOCOL]=${p[TRANSPORT]:-udp}
  # A contact port is a transport of its own: requests come from it, and our Contact names it.
  p[TRANSPORT]=${p[PROTOCOL]}${p[CONTACT_PORT]:+-$1}
  p[BIND]=${value[SIP_ADDRESS]}:${p[CONTACT_PORT]}
  p[EXTERNAL_ADDRESS]=${value[EXTERNAL_ADDRESS]} p[LOCAL_NETS]=${value[LOCAL_NETS]}
  p[CODECS]=${p[CODECS]:-ulaw,alaw}
  p[DTMF]=${p[DTMF]:-rfc4733}
  # A provider that is the only one, or whose file says how many calls it has, needs no other limit.
  p[SHARES]=$([[ ${p[MAX_CALLS]} || $(provider_files | wc -l) == 1 ]] && echo 0 || echo 1)
  p[MAX_CALLS]=${p[MAX_CALLS]:-0}
  p[PHONE]=${p[USER_PHONE]:-no}
  p[QUALIFY_SECONDS]=${p[QUALIFY_SECONDS]:-0}
  # A provider behind NAT announces addresses that it does not send from. Requests (Contact) and
  # audio (SDP) go to the address that its own came from.
  p[REWRITES]=$([[ ${p[NAT]} == yes || ${p[NAT]} == contact ]] && echo yes || echo no)
  p[SYMMETRIC]=$([[ ${p[NAT]} == yes ]] && echo yes || echo no)
  p[TRUSTS]=$([[ ${p[TRUST_HEADERS]} == yes ]] && echo 1 || echo 0)
  p[REGISTERS]=$([[ ${p[AUTH]} == registration ]] && echo 1 || echo 0)
  p[SET_FALLBACK]=${p[FALLBACK]:+PROVIDER_FALLBACK=${p[FALLBACK]}}
  # Calls come from MATCH, else from HOST; the ACL holds that against a stolen line token as well.
  # A host name's addresses may change, so such a provider has no ACL unless it has MATCH.
  host=${p[HOST]%%:*}
  p[SOURCES]=${p[MATCH]:-$host}
  [[ -v line_only[$1] ]] && p[SOURCES]=''
  p[PERMIT]=${p[MATCH]}
  [[ -z ${p[PERMIT]} ]] && is_address "$host" && p[PERMIT]=$host
  p[DENY]=${p[PERMIT]:+0.0.0.0/0.0.0.0}
  p[AOR]=${p[HOST]:+$1}
  p[ACCOUNT]=${p[USERNAME]:+$1}
  [[ ${p[PROTOCOL]} == tcp ]] && over=';transport=tcp'
  p[TARGET]=sip:${p[HOST]}$over
  ((p[REGISTERS])) && p[FROM_DOMAIN]=${p[FROM_DOMAIN]:-$host}
  p[CLIENT]=sip:${p[USERNAME]}@${p[FROM_DOMAIN]}
  # Where the number of a REFER is at home.
  p[SET_DOMAIN]=${p[HOST]:+PROVIDER_DOMAIN=${p[FROM_DOMAIN]:-${p[HOST]}}}
  [[ ${p[SET_DOMAIN]} && ${p[PHONE]} == yes ]] && p[SET_DOMAIN]+='\;user=phone'
  p[CONTACT_USER]=${p[CONTACT_USER]:-${p[USERNAME]}}
  p[FROM_USER]=${p[FROM_USER]:-${p[USERNAME]}}
  # Loose routing: the request keeps the target as its address.
  [[ -z ${p[OUTBOUND_PROXY]} ]] || p[OUTBOUND_PROXY]+="$over;lr"
}

# provider_sections ARRAY: everything that pjsip.conf says about one provider.
provider_sections() {
  declare -n p=$1
  [[ ${p[CONTACT_PORT]} ]] && render "$1" provider-transport.conf
  render "$1" provider.conf
  [[ ${p[SOURCES]} ]] && render "$1" provider-identify.conf
  [[ ${p[AOR]} ]] && render "$1" provider-target.conf
  [[ ${p[ACCOUNT]} ]] && render "$1" provider-auth.conf
  ((p[REGISTERS])) && render "$1" provider-registration.conf
  return 0
}

# provider_files: every provider's file, in the order of their names.
provider_files() {
  local file
  for file in "$providers"/*.env; do if [[ -e $file ]]; then echo "$file"; fi; done
}

# keep_said NAME ARRAY: what a file says, without comments and without what is the bridge's.
keep_said() {
  declare -n p=$2
  local key
  while read -r key; do
    [[ -z $key ]] || said+=("$1 $key=${p[$key]}")
  done < <(printf '%s\n' "${!p[@]}" | LC_ALL=C sort)
}

# check_providers: all provider files.
check_providers() {
  local file name found=0
  while read -r file; do
    found=1 name=${file##*/} name=${name%.env}
    declare -A provider=()
    if [[ ! -r $file ]]; then problem "$name.env" 'cannot be read by the user of the container: chmod 644 (secrets belong in secrets/)'; continue; fi
    read_provider "$file" provider
    check_provider "$name" "$name.env" provider
    claim_sources "$name" "$name.env" provider
    keep_said "$name" provider
    unset provider
  done < <(provider_files)
  ((found)) || problem "$providers" 'holds no provider file (NAME.env)'
  for name in "${!line_only[@]}"; do
    notes+=("$name.env: another provider registers at the same address; its calls are known by the line parameter of our Contact alone")
  done
}

# render_providers: pjsip.conf's sections of every provider; all files have been found right.
render_providers() {
  local file name
  while read -r file; do
    name=${file##*/} name=${name%.env}
    declare -A provider=()
    read_provider "$file" provider
    provider_password "$name.env" provider
    complete_provider "$name" provider
    provider_sections provider >"$config/providers/$name.conf"
    if [[ ${provider[CONTACT_PORT]} ]]; then listens "${provider[PROTOCOL]}" "${provider[CONTACT_PORT]}"; fi
    if [[ ${provider[SOURCES]} == *[A-Za-z]* ]]; then echo "$name ${provider[SOURCES]}" >>"$config/names"; fi
    unset provider
  done < <(provider_files)
}
