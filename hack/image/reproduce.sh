#!/usr/bin/env bash
# Builds the commit a second time, from another directory, and compares what comes out with target/image/.
#
#   reproduce.sh          with the dependencies that the first build compiled; the program itself is always compiled anew
#   reproduce.sh --cold   with nothing of the first build (as long as a first build)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

first=$(realpath "${IMAGE_OUT:-target/image}")
[[ -f $first/whatsapp-operator.digest ]] || {
  echo "reproduce: $first holds no image: run \`make image\` first" >&2
  exit 1
}
if [[ -n $(git status --porcelain) ]]; then
  echo "reproduce: the tree is not a commit's, so there is nothing to build again" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet --no-hardlinks . "$work/elsewhere"
if [[ ${1:-} == --cold ]]; then export IMAGE_CACHE=$work/cache; fi
IMAGE_OUT=$work/out "$work/elsewhere/hack/image/build.sh" >/dev/null
IMAGE_OUT=$work/out "$work/elsewhere/hack/image/sbom.sh" >/dev/null

status=0
for file in whatsapp-operator.tar whatsapp-operator.digest whatsapp-operator.cdx.json; do
  if cmp "$first/$file" "$work/out/$file"; then
    echo "the same again: $file"
  else
    status=1
  fi
done
exit "$status"
