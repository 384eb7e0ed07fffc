#!/usr/bin/env bash
# Makes sure that the CustomResourceDefinitions of Argo CD and Flux are on this machine, which the manifests in
# examples/gitops are held against, and prints the directory that holds them as the last line of stdout.
# Everything else goes to stderr.
#
# Those of Flux are generated from its published Go types; that of Argo CD is a file of its module. Both once per
# version, into the user's cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
argo=github.com/argoproj/argo-cd/v3@v3.2.12
argo_sum="h1:XbOyqcoPIjMhiP+y05Zi2U+HfG3b2TNfGJgVuK5Y8g0="
flux=(
  github.com/fluxcd/helm-controller/api/v2
  github.com/fluxcd/kustomize-controller/api/v1
  github.com/fluxcd/source-controller/api/v1
)

say() { printf 'schemas: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}
sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

hash=$(cat "$here/go.mod" "$here/go.sum" "${BASH_SOURCE[0]}" | sha256 | cut -c1-12)
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/whatsapp-operator
schemas=$cache/gitops-$hash
if [[ -d $schemas ]]; then
  printf '%s\n' "$schemas"
  exit 0
fi
command -v go >/dev/null || die "Go is not installed: install Go $(sed -n 's/^go //p' "$here/go.mod") or newer (https://go.dev/dl/)"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.gitops.XXXXXX")
# Go makes the files of modules read-only.
clean_up() { chmod -R u+w "$work" && rm -rf "$work"; }
trap clean_up EXIT
export GOWORK=off CGO_ENABLED=0 GOFLAGS=-mod=readonly

say "generating the schemas of Flux and fetching that of Argo CD into $schemas: once, about 2 minutes"
cd "$here"
mkdir "$work/schemas"
go tool controller-gen crd "${flux[@]/#/paths=}" output:crd:dir="$work/schemas" >&2
# One file of 250 MB of module is wanted, so none of the rest stays.
told=$(GOMODCACHE=$work/modules go mod download -json "$argo") || die "$argo cannot be downloaded: $told"
[[ $told == *"\"Sum\": \"$argo_sum\""* ]] || die "$argo is not what it was: $told"
cp "$work/modules/$argo/manifests/crds/application-crd.yaml" "$work/schemas/argoproj.io_applications.yaml"
# The rename makes it visible as a whole. Whoever else was quicker made the same.
mv "$work/schemas" "$schemas" 2>/dev/null || [[ -d $schemas ]] || die "cannot write $schemas"
printf '%s\n' "$schemas"
