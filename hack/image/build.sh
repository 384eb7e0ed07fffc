#!/usr/bin/env bash
# Builds the image from the Dockerfile with docker, podman or buildah, whichever is there, into target/image/:
#
#   whatsapp-operator.tar        the image, for `docker load`, `kind load image-archive`, `ctr images import`
#   whatsapp-operator.digest     its id: the digest of its configuration, which names its layer
#   whatsapp-operator.cdx.json   what it is made of (hack/image/sbom.sh)
#
# IMAGE_TOOL   docker, podman or buildah; unset takes the first that works
# IMAGE_BASE   registry (the builder that the Dockerfile names) or host (this machine: root, Linux, buildah)
# IMAGE_NAME   default whatsapp-operator
# IMAGE_TAG    default the version in Cargo.toml
# IMAGE_OUT    default target/image
# IMAGE_CACHE  with IMAGE_BASE=host, where compiled dependencies are kept; default ~/.cache/whatsapp-operator/image
# IMAGE_SOURCE where the source is, as a URL, for the label of that name; default none
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

die() {
  printf 'image: %s\n' "$*" >&2
  exit 1
}

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
base=${IMAGE_BASE:-registry}
name=${IMAGE_NAME:-whatsapp-operator}:${IMAGE_TAG:-$version}
out=${IMAGE_OUT:-target/image}
cache=${IMAGE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/whatsapp-operator/image}

case $base in
  registry) tools=(docker podman buildah) ;;
  host)
    tools=(buildah)
    [[ $(uname -s) == Linux && $(id -u) == 0 ]] ||
      die "IMAGE_BASE=host needs root on Linux, because the build mounts directories of this machine"
    ;;
  *) die "IMAGE_BASE is registry or host, not $base" ;;
esac

works() {
  case $1 in
    # The client alone builds nothing.
    docker) docker info >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}
tool=${IMAGE_TOOL:-}
if [[ -n $tool ]]; then
  [[ " ${tools[*]} " == *" $tool "* ]] || die "with IMAGE_BASE=$base the tool is one of: ${tools[*]}"
  works "$tool" || die "$tool does not work on this machine"
else
  for candidate in "${tools[@]}"; do
    if works "$candidate"; then
      tool=$candidate
      break
    fi
  done
  [[ -n $tool ]] || die "none of these works on this machine: ${tools[*]} (Debian: apt-get install buildah)"
fi

# Of a commit, everything follows from the commit. A changed tree says that it is one.
revision=unknown
epoch=${SOURCE_DATE_EPOCH:-0}
if commit=$(git rev-parse HEAD 2>/dev/null); then
  revision=$commit
  if [[ -n $(git status --porcelain -- Dockerfile .dockerignore Cargo.toml Cargo.lock src sim/Cargo.toml devkit/Cargo.toml) ]]; then
    revision=$commit-dirty
  fi
  epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
fi
arguments=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "SOURCE_DATE_EPOCH=$epoch")
if [[ -n ${IMAGE_SOURCE:-} ]]; then arguments+=(--label "org.opencontainers.image.source=$IMAGE_SOURCE"); fi

printf 'image: building %s with %s, builder from the %s\n' "$name" "$tool" "$base" >&2
mkdir -p "$out"
archive=$out/whatsapp-operator.tar
rm -f "$archive" "$out/whatsapp-operator.digest"
case $tool in
  docker)
    DOCKER_BUILDKIT=1 docker build "${arguments[@]}" --tag "$name" . >&2
    docker save --output "$archive" "$name"
    ;;
  podman | buildah)
    command=("$tool")
    timestamp=(--timestamp "$epoch" --identity-label=false)
    if [[ $base == host ]]; then
      # Beside whatever else is built here, on any file system, and one build after the other.
      mkdir -p "$cache/tmp"
      exec 9>"$cache/.lock"
      flock 9
      # Cache mounts live where temporary files do.
      export TMPDIR=$cache/tmp
      command+=(--storage-driver vfs --root "$cache/storage" --runroot "/run/whatsapp-operator-image")
      options=$(hack/image/base.sh "${command[@]}")
      mapfile -t options <<<"$options"
      arguments+=(--isolation chroot "${options[@]}")
    fi
    # Without a name, because the archive would get that one as well.
    "${command[@]}" build --layers=false --file Dockerfile "${timestamp[@]}" "${arguments[@]}" --iidfile "$out/id" . >&2
    id=$(<"$out/id")
    "${command[@]}" push --quiet "$id" "docker-archive:$archive:$name" >&2
    "${command[@]}" rmi "$id" >/dev/null
    rm "$out/id"
    ;;
esac

# An archive names its image's configuration by digest.
digest=sha256:$(tar --extract --to-stdout --file "$archive" manifest.json | grep -oE '[0-9a-f]{64}' | head -n 1)
printf '%s\n' "$digest" >"$out/whatsapp-operator.digest"
printf '%s\n%s\n%s bytes\n' "$name" "$digest" "$(wc -c <"$archive")"
