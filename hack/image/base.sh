#!/usr/bin/env bash
# Makes a builder for the Dockerfile from this machine, where no registry is to be asked: an image of a few links, and
# the directories of the machine that a build mounts over it. Prints the options for `buildah bud`, one a line.
#
#   base.sh BUILDAH…     the buildah command with its global options
set -euo pipefail

buildah=("$@")
name=localhost/whatsapp-operator-builder

sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# Where the official image of Rust has it, because panic messages name files in there.
inside=/usr/local/cargo

root=$(mktemp -d)
container=""
clean_up() {
  if [[ -n $container ]]; then "${buildah[@]}" rm "$container" >/dev/null; fi
  rm -rf "$root"
}
trap clean_up EXIT

mkdir -p "$root"/{etc/alternatives,opt/rust,tmp,src} "$root$inside/registry" "$root"/usr/{bin,include,lib,lib64,libexec,share/ca-certificates}
chmod 1777 "$root/tmp"
for link in bin lib lib64; do ln -s "usr/$link" "$root/$link"; done
printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"

mounts=(/usr/bin /usr/include /usr/lib /usr/lib64 /usr/libexec /usr/share/ca-certificates /etc/alternatives)
for directory in "${mounts[@]}"; do
  if [[ -d $directory ]]; then printf -- '--volume=%s:%s:ro\n' "$directory" "$directory"; fi
done
printf -- '--volume=%s:/opt/rust:ro\n' "$sysroot"
# The crates are here already, by whatever way this machine gets them.
cargo fetch --quiet --locked --target "$(rustc -vV | sed -n 's/^host: //p')" >&2
printf -- '--volume=%s:%s/registry:ro\n' "$cargo_home/registry" "$inside"

container=$("${buildah[@]}" from scratch)
"${buildah[@]}" copy --quiet "$container" "$root" / >/dev/null
"${buildah[@]}" config --env PATH=/opt/rust/bin:/usr/bin:/bin --env CARGO_HOME=$inside --env CARGO_NET_OFFLINE=true \
  --env HOME=/root "$container"
"${buildah[@]}" commit --quiet "$container" "$name" >/dev/null
printf -- '--build-arg=BUILDER=%s\n--pull-never\n' "$name"
