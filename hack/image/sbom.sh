#!/usr/bin/env bash
# Writes what the program is made of, as CycloneDX, beside the image: every crate that it is linked from or built with,
# by version, checksum and licence. The same tree gives the same file.
#
# IMAGE_OUT   default target/image
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cargo_cyclonedx_version=0.5.9
tools=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/whatsapp-operator/tools
tool=$tools/bin/cargo-cyclonedx
out=${IMAGE_OUT:-target/image}
mkdir -p "$out"

command -v cargo >/dev/null || {
  echo "sbom: the image is built, but its bill of materials needs cargo: install Rust (https://rustup.rs)" >&2
  exit 1
}
if [[ $("$tool" cyclonedx --version 2>/dev/null) != "cargo-cyclonedx-cyclonedx $cargo_cyclonedx_version" ]]; then
  echo "sbom: cargo-cyclonedx $cargo_cyclonedx_version is built into $tools: once, about 3 minutes" >&2
  cargo install --quiet --locked --root "$tools" --version "$cargo_cyclonedx_version" --force cargo-cyclonedx
fi

# A copy, because the tool writes into the directories it reads; and of the program alone, because it takes the features
# that the tests need for the program's.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R Cargo.lock src "$copy"
awk '/^\[/ { kept = $0 != "[dev-dependencies]" } /^members = / { next } kept' Cargo.toml >"$copy/Cargo.toml"
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
SOURCE_DATE_EPOCH=$epoch "$tool" cyclonedx --quiet --manifest-path "$copy/Cargo.toml" --format json --spec-version 1.5 \
  --target "$(rustc -vV | sed -n 's/^host: //p')"
# The tool names our own crate by the place of the copy.
sed "s|path+file://$copy#||" "$copy/whatsapp-operator.cdx.json" >"$out/whatsapp-operator.cdx.json"
echo "$out/whatsapp-operator.cdx.json"
