#!/usr/bin/env bash
# Tests the image and the chart where Pods really run (devkit/tests/node). Arguments go to the tests, such as a name.
#
# Taken is, in this order:
#   the cluster of E2E_KUBECONFIG, which has none of our definitions yet. E2E_IMAGE and E2E_NEXT_IMAGE are two names of the
#     image that it can pull, and E2E_HOST is the address of this machine at which its Pods reach it.
#   a node of this machine, which needs Linux and root, with the image that is built here, or with that of the archive
#     E2E_ARCHIVE.
#   a cluster of kind, if that is installed; it is deleted afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'e2e: %s\n' "$*" >&2; }
die() {
  say "$*"
  exit 1
}

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
built=whatsapp-operator:$version
archive=$PWD/target/image/whatsapp-operator.tar

tests() {
  # One after the other: the definitions belong to the whole cluster.
  cargo test --locked -p whatsapp-operator-devkit --features node --test node -- --test-threads=1 "$@"
}

on_named_cluster() {
  say "on the cluster of $E2E_KUBECONFIG, because E2E_KUBECONFIG names it"
  for name in E2E_IMAGE E2E_NEXT_IMAGE E2E_HOST; do
    [[ -n ${!name:-} ]] || die "$name is not set; what it is stands at the top of hack/e2e.sh"
  done
  hack/control-plane/build.sh demo >/dev/null
  tests "$@"
}

on_this_machine() {
  say "on a node of this machine"
  hack/control-plane/build.sh all >/dev/null
  for programs in node containerd runc; do hack/control-plane/build.sh "$programs" >/dev/null; done
  if [[ -z ${E2E_ARCHIVE:-} ]]; then
    IMAGE_BASE=host IMAGE_NAME='' IMAGE_TAG='' IMAGE_OUT='' hack/image/build.sh
    E2E_ARCHIVE=$archive
  fi
  # The tests run in a directory of their own.
  E2E_ARCHIVE=$(realpath "$E2E_ARCHIVE")
  export E2E_ARCHIVE E2E_IMAGE=${E2E_IMAGE:-$built}
  tests "$@"
}

on_kind() {
  say "on a cluster of kind, because $1"
  shift
  hack/control-plane/build.sh demo >/dev/null
  IMAGE_NAME='' IMAGE_TAG='' IMAGE_OUT='' hack/image/build.sh
  local cluster=whatsapp-operator-e2e directory node
  directory=$(mktemp -d)
  # shellcheck disable=SC2064 # as they are now
  trap "kind delete cluster --name $cluster >/dev/null 2>&1; rm -rf '$directory'" EXIT
  kind create cluster --name "$cluster" --kubeconfig "$directory/kubeconfig"
  kind load image-archive "$archive" --name "$cluster"
  node=$(kind get nodes --name "$cluster" | head -n 1)
  docker exec "$node" ctr --namespace k8s.io images tag "docker.io/library/$built" "docker.io/library/$built-next"
  export E2E_KUBECONFIG=$directory/kubeconfig E2E_IMAGE=$built E2E_NEXT_IMAGE=$built-next
  # Docker Desktop has a name for this machine, and elsewhere it is the node's gateway.
  E2E_HOST=$(docker exec "$node" sh -c \
    'getent ahostsv4 host.docker.internal || ip route show default | cut -d" " -f3' | head -n 1 | cut -d" " -f1)
  export E2E_HOST
  tests "$@"
}

hack/control-plane/build.sh helm >/dev/null
if [[ -n ${E2E_KUBECONFIG:-} ]]; then
  on_named_cluster "$@"
elif why=$(hack/node/prepare.sh); then
  on_this_machine "$@"
elif command -v kind >/dev/null; then
  on_kind "$why" "$@"
else
  die "$why; without a node of this machine, install kind or name a cluster (top of hack/e2e.sh)"
fi
