#!/usr/bin/env bash
# Says in one sentence what is missing for building and testing, if anything is.
set -euo pipefail

missing=()
need() {
  local name=$1
  shift
  local program
  for program in "$@"; do
    if command -v "$program" >/dev/null; then return; fi
  done
  missing+=("$name")
}

need "cargo (Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../Cargo.toml"), https://rustup.rs)" cargo
# A complete directory of Kubernetes programs makes Go unnecessary (build.sh looks into it), and so does a cluster.
if [[ -z ${KUBEBUILDER_ASSETS:-}${DEMO_KUBECONFIG:-} ]]; then
  need "go (1.26, https://go.dev/dl)" go
fi
need "make" make gmake
need "a C compiler (cc, gcc or clang)" "${CC:-cc}" gcc clang

if ((${#missing[@]} > 0)); then
  list=$(printf ', %s' "${missing[@]}")
  printf 'missing on this machine: %s\n' "${list:2}" >&2
  exit 1
fi
