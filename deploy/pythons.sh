#!/bin/sh
# The oldest and the newest Python that a pilot is promised to run under, out of other releases of Debian, below a folder:
# unpacked and not installed, each with its own libraries, so that nothing of this machine changes and nobody need be root.
# The tests look for them in .run/pythons; where they can not be had, those tests say so and are skipped.
set -eu
umask 022
target=$(mkdir -p "$1" && cd "$1" && pwd)
ring=/usr/share/keyrings/debian-archive-keyring.gpg
mirror=${PILOTBUS_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Component: main' | grep -E '/debian/?$' | head -n 1)}
[ -n "$mirror" ] && [ -r "$ring" ]

# Packages of a release, with all that they need, as files in a folder; apt's own state is left alone.
fetch() {
    folder=$1 suite=$2
    shift 2
    mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial"
    : >"$folder/status"
    echo "deb [signed-by=$ring check-valid-until=no] $mirror $suite main" >"$folder/sources"
    cat >"$folder/conf" <<END
Dir::Etc::SourceList "$folder/sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State "$folder/state";
Dir::State::Status "$folder/status";
Dir::Cache "$folder/cache";
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "no";
Acquire::Languages "none";
Debug::NoLocking "yes";
END
    APT_CONFIG=$folder/conf apt-get -qq update
    APT_CONFIG=$folder/conf apt-get -qq -y --download-only install "$@"
}

# A Python that runs where it lies: with its own loader and its own libraries, whatever this machine has.
unpack() {
    version=$1 folder=$2 root=$target/$1.new
    rm -rf "$root" "${target:?}/$version"
    mkdir "$root"
    for name in "python$version" "libpython$version" libc6_ zlib1g libexpat libffi libssl libmpdec libbz2 liblzma libcrypt1 \
        libuuid1 libsqlite3 libzstd1 libnsl2 libtirpc3 libgssapi libkrb5 libk5crypto libcom-err libkeyutils libgcc-s1; do
        for package in "$folder/cache/archives/$name"*.deb; do
            [ ! -e "$package" ] || dpkg-deb -x "$package" "$root"
        done
    done
    place=$target/$version
    mv "$root" "$place"
    loader=$(find "$place" -type f \( -name 'ld-linux*.so.*' -o -name 'ld-2.*.so' \) | head -n 1)
    libraries=$(find "$place" -type d -path '*/lib/*-linux-gnu*' -prune | paste -s -d : -)
    python=$place/usr/bin/python$version
    if ! "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$python" ||
        ! "$python" -I -c 'import ctypes, hashlib, json, sqlite3, ssl, zlib'; then
        rm -rf "$place"
        return 1
    fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fetch "$work/bullseye" bullseye python3.9-minimal libpython3.9-stdlib patchelf
fetch "$work/trixie" trixie python3.13-minimal libpython3.13-stdlib
mkdir "$work/tools"
dpkg-deb -x "$work"/bullseye/cache/archives/patchelf_*.deb "$work/tools"
patchelf=$work/tools/usr/bin/patchelf
unpack 3.9 "$work/bullseye"
unpack 3.13 "$work/trixie"
