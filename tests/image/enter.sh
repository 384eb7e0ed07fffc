#!/bin/sh
# Becomes the program in the image's file system, which cannot be written, as the image's user and with an empty environment.
# The files in $ETC are laid over those of the image, as a container runtime does with hosts and resolv.conf, and there are
# the devices that every runtime gives.
#
#   ROOT=… ETC=… API_SERVER=host KUBECONFIG=… enter.sh ARGUMENT…
set -eu

sed "s#https://127.0.0.1:#https://$API_SERVER:#" "$KUBECONFIG" >"$ROOT/kubeconfig"
chmod 0444 "$ROOT/kubeconfig"
export ROOT ETC
# In a mount namespace of its own, which ends with the program; the shell in there expands the names.
# shellcheck disable=SC2016
exec unshare --mount --propagation private /bin/sh -eu -c '
  mount --bind "$ROOT" "$ROOT"
  mkdir -p "$ROOT/dev"
  for device in null random urandom; do
    : >"$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
  done
  cd "$ETC"
  find . -type f | while read -r file; do
    mount --bind "$file" "$ROOT/etc/$file"
    mount -o remount,bind,ro "$ROOT/etc/$file"
  done
  mount -o remount,bind,ro "$ROOT"
  exec env --ignore-environment KUBECONFIG=/kubeconfig "$(command -v chroot)" --userspec=65532:65532 "$ROOT" /whatsapp-operator "$@"
' enter "$@"
