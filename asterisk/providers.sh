# Provider files (NAME.env) to PJSIP sections. Sourced by entrypoint; the keys are documented in providers/README.md.
# shellcheck shell=bash disable=SC2004,SC2034,SC2153,SC2154,SC2178 # arrays by name; value, expected, providers: entrypoint's

# key -> what its value has to be. Keys of the bridge are allowed and left alone.
declare -rA provider_keys=(
  [AUTH]=auth [MATCH]=networks [HOST]=host [TRANSPORT]=transport [CODECS]=codecs [DTMF]=dtmf
  [USERNAME]=user [PASSWORD_FILE]='' [PASSWORD_VARIABLE]='' [FROM_USER]=user [FROM_DOMAIN]=hostname
  [OUTBOUND_PROXY]=proxy [CONTACT_PORT]=port [CONTACT_USER]=user [MAX_CALLS]=count [TRUST_HEADERS]=yesno
  [QUALIFY_SECONDS]=count [FALLBACK]=fallback
)
# Each file goes through read, check and complete; its sections are kept until all files are known to be right.
declare -A sections=() # provider -> its sections of pjsip.conf
declare -A matched=()  # address or network of a MATCH -> the file that it is in
readonly bridge_keys='^(PIPECAT_[A-Z_]+|MEDIA_TRANSPORT|BARGE_IN_HOLD_MS|RECORDING|TRANSFER_METHOD|TENANT|CALLER_ID|NUMBER_FORMAT|COUNTRY_CODE|TRUNK_PREFIX|INTERNATIONAL_PREFIX|ALLOWED_PREFIXES|OUTBOUND_[A-Z_]+)$'

# read_provider FILE ARRAY: the file's keys and values into the array, every line checked.
read_provider() {
  declare -n keys=$2
  local line key content expectation number=0 file=${1##*/}
  while IFS= read -r line || [[ $line ]]; do
    number=$((number + 1))
    line=${line%$'\r'}
    [[ $line =~ ^[[:space:]]*(#|$) ]] && continue
    if [[ ! $line =~ ^([A-Z_]+)=(.*)$ ]]; then problem "$file:$number" 'is not KEY=value'; continue; fi
    key=${BASH_REMATCH[1]} content=${BASH_REMATCH[2]}
    [[ $key =~ $bridge_keys || -z $content ]] && continue
    if [[ ! -v provider_keys[$key] ]]; then problem "$file:$key" 'is not a key that is known'; continue; fi
    [[ ! -v keys[$key] ]] || problem "$file:$key" 'is there twice'
    keys[$key]=$content
    expectation=${provider_keys[$key]}
    [[ -z $expectation ]] || "is_$expectation" "$content" || problem "$file:$key" "'$content' is not ${expected[$expectation]}"
  done <"$1"
}

# provider_password FILE ARRAY: PASSWORD from PASSWORD_FILE or from the variable that PASSWORD_VARIABLE names.
provider_password() {
  declare -n account=$2
  local file=$1 variable=${account[PASSWORD_VARIABLE]:-}
  if [[ ${account[PASSWORD_FILE]:-} ]]; then read_secret "$file:PASSWORD_FILE" "${account[PASSWORD_FILE]}" 'account[PASSWORD]'
  elif [[ $variable && ! $variable =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]]; then
    # Its value is not told: it may be the password itself.
    problem "$file:PASSWORD_VARIABLE" 'is not the name of a variable'
  elif [[ $variable ]]; then
    account[PASSWORD]=${!variable:-}
    is_secret "${account[PASSWORD]}" || problem "$file:PASSWORD_VARIABLE" "the variable $variable does not hold ${expected[secret]}"
  elif [[ ${account[USERNAME]:-} ]]; then
    problem "$file:PASSWORD_FILE" 'is missing, expected a file (or PASSWORD_VARIABLE, a variable) with the password of USERNAME'
  fi
}

# check_provider NAME FILE ARRAY: says which keys are missing.
check_provider() {
  declare -n p=$3
  local key item matches=${p[MATCH]:-} needed=(MATCH)
  is_name "$1" || problem "$2" "the name before .env is the provider's: ${expected[name]}"
  [[ ${p[AUTH]:-} == registration ]] && needed=(HOST USERNAME)
  for key in AUTH "${needed[@]}"; do
    [[ ${p[$key]:-} ]] || problem "$2:$key" "is missing, expected ${expected[${provider_keys[$key]}]}"
  done
  for item in ${matches//,/ }; do
    [[ ! -v matched[$item] ]] || problem "$2:MATCH" "'$item' is in ${matched[$item]} too: its calls could be of either"
    matched[$item]=$2
  done
  check_free "$2:CONTACT_PORT" "${value[SIP_ADDRESS]}" "${p[CONTACT_PORT]:-}"
  provider_password "$2" "$3"
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
  p[MAX_CALLS]=${p[MAX_CALLS]:-0}
  p[QUALIFY_SECONDS]=${p[QUALIFY_SECONDS]:-0}
  p[TRUSTS]=$([[ ${p[TRUST_HEADERS]} == yes ]] && echo 1 || echo 0)
  p[REGISTERS]=$([[ ${p[AUTH]} == registration ]] && echo 1 || echo 0)
  p[SET_FALLBACK]=${p[FALLBACK]:+PROVIDER_FALLBACK=${p[FALLBACK]}}
  # Calls come from MATCH, else from HOST; the ACL holds that against a stolen line token as well.
  # A host name's addresses may change, so such a provider has no ACL unless it has MATCH.
  host=${p[HOST]%%:*}
  p[SOURCES]=${p[MATCH]:-$host}
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
  [[ ${p[AOR]} ]] && render "$1" provider-target.conf
  [[ ${p[ACCOUNT]} ]] && render "$1" provider-auth.conf
  ((p[REGISTERS])) && render "$1" provider-registration.conf
  return 0
}

# check_providers: all provider files.
check_providers() {
  local file name found=0
  for file in "$providers"/*.env; do
    [[ -e $file ]] || continue
    found=1 name=${file##*/} name=${name%.env}
    declare -A provider=()
    if [[ ! -r $file ]]; then problem "$name.env" 'can not be read'; continue; fi
    read_provider "$file" provider
    check_provider "$name" "$name.env" provider
    complete_provider "$name" provider
    sections[$name]=$(provider_sections provider)
    unset provider
  done
  ((found)) || problem "$providers" 'holds no provider file (NAME.env)'
}

render_providers() {
  local name
  for name in "${!sections[@]}"; do printf '%s\n' "${sections[$name]}" >"$config/providers/$name.conf"; done
}
