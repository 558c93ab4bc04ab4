#!/bin/sh
# A pilot of pilotbus @VERSION@. It checks its signature, its digest and its dates before anything of it runs.
# It needs neither its own file, nor a home, nor a terminal: sh wrapper, sh -s <wrapper, a VM's user data.
set -u
umask 077
unset OPENSSL_CONF OPENSSL_MODULES
[ -n "${PATH:-}" ] || PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin
export PATH
# one function, so that a script that was cut off runs nothing
main() {
door='@DOOR@' pilot='@PILOT@' proof='@PROOF@'
work= child= teller=

# A word to the door, so that a pilot that never starts is seen; whatever becomes of it, the pilot goes on.
tell() {
    [ -n "$door" ] && [ -n "$proof" ] && [ -n "$work" ] || return 0
    said=$work/said.$1
    printf '{"pilot_id": "%s", "proof": "%s", "phase": "%s", "reason": "%s", "exit_code": %d, "host": "%s", "system": "%s"}\n' \
        "$pilot" "$proof" "$1" "$(plain "$2" 300)" "$3" "$(plain "$(uname -n)" 64)" "$(plain "$(uname -srm)" 100)" >"$said"
    { by_curl || by_wget || by_openssl; } >/dev/null 2>&1 </dev/null
    return 0
}
plain() { printf '%s' "$1" | tr -cd 'A-Za-z0-9 .,:;()/_-' | cut -c "1-$2"; }
by_curl() {
    set --
    [ ! -s "$work/ca" ] || set -- --cacert "$work/ca"
    curl -q -s --proto =https --connect-timeout 5 --max-time 10 "$@" \
        -H 'Content-Type: application/json' --data-binary "@$said" "$door/boot"
}
by_wget() {
    set --
    [ ! -s "$work/ca" ] || set -- --ca-certificate="$work/ca"
    wget -q -O - --timeout=10 --tries=1 "$@" --header='Content-Type: application/json' --post-file="$said" "$door/boot" ||
        [ "$?" -eq 8 ]
}
by_openssl() {
    place=${door#https://}
    case $place in *:*) ;; *) place=$place:443 ;; esac
    host=${place%:*}
    case $host in *[!0-9.]*) set -- -verify_hostname "$host" -servername "$host" ;; *) set -- -verify_ip "$host" ;; esac
    [ ! -s "$work/ca" ] || set -- "$@" -CAfile "$work/ca"
    {
        printf 'POST /boot HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n' "$place"
        printf 'Content-Length: %d\r\nConnection: close\r\n\r\n' "$(wc -c <"$said")"
        cat "$said"
    } | timeout 10 openssl s_client -quiet -verify_return_error -connect "$place" "$@"
}
refuse() {
    echo "pilot wrapper: $1" >&2
    tell wrapper_failed "$1" "$2"
    exit "$2"
}
for place in "${TMPDIR:-/tmp}" /tmp /var/tmp "$PWD"; do
    work=$(mktemp -d "$place/pilotbus.XXXXXXXX" 2>/dev/null) && break
    work=
done
[ -n "$work" ] || refuse "no temporary directory can be made" 20
trap 'rm -rf "$work"; [ -z "$teller" ] || kill "$teller" 2>/dev/null' EXIT
trap '[ -z "$child" ] && exit 143; kill -TERM "$child" 2>/dev/null' TERM
trap '[ -z "$child" ] && exit 130; kill -INT "$child" 2>/dev/null' INT
trap '[ -z "$child" ] && exit 129; kill -TERM "$child" 2>/dev/null' HUP
@BLOCKS@
tell wrapper_started '' 0 &
teller=$!
printf '%s\n' "${PILOTBUS_LEAST_VERSION:-}" | grep -Eq '^([0-9]+(\.[0-9]+)*)?$' ||
    refuse "PILOTBUS_LEAST_VERSION is no version, such as 2026.1.0" 25
told() { sed -n "s/^$1=//p" "$work/manifest"; }
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)" = "$1" ]; }

command -v openssl >/dev/null 2>&1 || refuse "there is no openssl on this node, so the signature can not be checked" 21
key=${PILOTBUS_PILOT_PUBLIC_KEY:-$work/key}
openssl base64 -d -A -in "$work/signature" -out "$work/signature.bin" 2>/dev/null
openssl dgst -sha256 -verify "$key" -signature "$work/signature.bin" "$work/manifest" >/dev/null 2>&1 ||
    refuse "the signature is not of the key that is trusted here" 22
openssl base64 -d -in "$work/zip" -out "$work/pilot.pyz" 2>/dev/null
rm -f "$work/zip"
digest=$(openssl dgst -sha256 -r "$work/pilot.pyz" 2>/dev/null | cut -d ' ' -f 1)
[ "$digest" = "$(told sha256)" ] || refuse "the pilot is not the one that was signed: its SHA-256 is $digest" 23
[ "$(date -u +%Y%m%d%H%M%S)" -lt "$(told expires)" ] || refuse "it has expired, at $(told expires) UTC" 24
for least in "$(told least_version)" "${PILOTBUS_LEAST_VERSION:-}"; do
    [ -z "$least" ] || ! older "$(told version)" "$least" ||
        refuse "it is $(told version), and $least is the oldest that may start" 25
done

# A Python that is new enough and whole; one on a file system that hangs is given up where there is a command for that.
limit=
! timeout 30 true >/dev/null 2>&1 || limit="timeout 30"
suits() {
    [ -n "$1" ] && $limit "$1" -I -c 'import sys, ctypes, json, ssl, zipfile, zlib; sys.exit(sys.version_info < (3, 9))' \
        >/dev/null 2>&1 </dev/null && python=$1
}
python=
for candidate in "${PILOTBUS_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 \
    /usr/bin/python3 /usr/bin/python3.[0-9]* /usr/local/bin/python3 /usr/libexec/platform-python; do
    suits "$candidate" && break
done
# only then: a look at CVMFS may mount it
[ -n "$python" ] || for candidate in $($limit sh -c 'ls -d /cvmfs/dirac.egi.eu/dirac/pro/Linux-*/bin/python3 \
    /cvmfs/lhcb.cern.ch/lhcbdirac/prod/Linux-*/bin/python3 /cvmfs/*/dirac/*/Linux-*/bin/python3 \
    /cvmfs/software.eessi.io/versions/*/compat/linux/"$(uname -m)"/usr/bin/python3 \
    /cvmfs/*/lcg/releases/Python/3.*/*/bin/python3 2>/dev/null'); do
    suits "$candidate" && break
done
[ -n "$python" ] || refuse "there is no Python of version 3.9 or newer on this node" 26

[ ! -s "$work/secret" ] || set -- --secret-file "$work/secret" "$@"
[ ! -s "$work/ca" ] || set -- --ca "$work/ca" "$@"
# a VM boots in its root directory, which is no place to work
if [ "$PWD" = / ] || [ ! -w . ]; then set -- --workdir "$work" "$@"; fi
"$python" -I "$work/pilot.pyz" @FLAGS@ "$@" &
child=$!
code=0
wait "$child" || code=$?
# a signal ends the waiting, not the pilot
while kill -0 "$child" 2>/dev/null; do
    code=0
    wait "$child" || code=$?
done
# one that has spoken for itself is believed before this
[ "$code" -eq 0 ] || tell wrapper_failed "the pilot ended with exit code $code" "$code"
exit "$code"
}
main "$@"
