#!/usr/bin/env bash
# Holds the chart's defaults, which install.yaml is, against the policies of checkov: none may fail. Those that are skipped
# say why in the annotations of the Deployment. checkov lives in a virtual environment in the user's cache, made once.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
manifest=$here/../../install.yaml

die() {
  printf 'checkov: %s\n' "$*" >&2
  exit 1
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

python=$(command -v python3) || die "python3 is not installed: install Python 3.11 or newer (https://python.org)"
hash=$({ "$python" --version && cat "$here/requirements.txt"; } | sha256 | cut -c1-12)
environment=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/whatsapp-operator/checkov-$hash

if [[ ! -f $environment/complete ]]; then
  printf 'checkov: installing it into %s: once, about a minute\n' "$environment" >&2
  rm -rf "$environment"
  "$python" -m venv "$environment" || die "python3 has no venv: install it (Debian: python3-venv)"
  "$environment/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt" ||
    die "its packages cannot be installed: check the network"
  touch "$environment/complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# From elsewhere, so that a configuration file here or there changes nothing; and without its own downloads.
check() {
  (cd "$work" && HOME=$work "$environment/bin/checkov" --file "$1" --framework kubernetes --skip-download --quiet --compact)
}

check "$manifest" || die "fix what failed, or write down in templates/deployment.yaml why it is so"

# A checker that finds nothing wrong anywhere would be of no use.
sed 's/readOnlyRootFilesystem: true/readOnlyRootFilesystem: false/' "$manifest" >"$work/worse.yaml"
if said=$(check "$work/worse.yaml" 2>&1); then die "a writable root file system is not noticed: $said"; fi
grep -q CKV_K8S_22 <<<"$said" || die "a writable root file system is not what it complains about: $said"
