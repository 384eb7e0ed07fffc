#!/usr/bin/env bash
# As root on Debian or Ubuntu: installs what builds the image without docker. Elsewhere it says what to install.
set -euo pipefail

if command -v buildah >/dev/null; then exit 0; fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  echo "image: install docker, podman or buildah; this script installs buildah as root on Debian only" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends buildah >/dev/null
