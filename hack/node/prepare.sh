#!/usr/bin/env bash
# Makes sure that this machine can be a Kubernetes node (devkit/src/node): Linux, root, a kernel that lets us, and a few
# packages, which are installed where there is apt-get. When it cannot, the one line on stdout says why.
set -euo pipefail

cannot() {
  printf '%s\n' "$*"
  exit 1
}

[[ $(uname -s) == Linux ]] || cannot "a node needs Linux, and this is $(uname -s)"
[[ $(id -u) == 0 ]] || cannot "a node needs root"

# What a container in a container is often not allowed.
allowed() {
  local said
  said=$("${@:2}" 2>&1) || cannot "this machine does not allow $1: ${said##*$'\n'}"
}
cgroup=whatsapp-operator-prepare-$$
make_cgroups() {
  local top tops=(/sys/fs/cgroup/*) status=0
  if [[ -e /sys/fs/cgroup/cgroup.procs ]]; then tops=(/sys/fs/cgroup); fi
  for top in "${tops[@]}"; do
    mkdir -p "$top/$cgroup" || status=1
  done
  for top in "${tops[@]}"; do
    if [[ -d $top/$cgroup ]]; then rmdir "$top/$cgroup"; fi
  done
  return "$status"
}
allowed "control groups" make_cgroups
# shellcheck disable=SC2016 # for the shell in there
allowed "namespaces and mounts" unshare --mount --net --pid --ipc --uts --fork --propagation=private -- sh -ec '
  mount --make-rshared /
  mount -t proc proc /proc
  mount -t tmpfs node /run
  mkdir /run/lower /run/upper /run/work /run/merged
  mount -t overlay overlay -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work /run/merged
  echo 1 >/proc/sys/net/ipv4/ip_forward'

has_bridge() {
  local directory
  for directory in /usr/lib/cni /usr/libexec/cni /opt/cni/bin; do
    if [[ -x $directory/bridge ]]; then return 0; fi
  done
  return 1
}
missing=()
need() { if ! "${@:2}" >/dev/null 2>&1; then missing+=("$1"); fi; }
need iproute2 command -v ip
need iptables command -v iptables
need containernetworking-plugins has_bridge
need buildah command -v buildah
need pkg-config command -v pkg-config
need libseccomp-dev pkg-config --exists libseccomp

if ((${#missing[@]} > 0)); then
  command -v apt-get >/dev/null ||
    cannot "a node needs these packages, by their names in Debian: ${missing[*]}"
  printf 'node: installing %s\n' "${missing[*]}" >&2
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
    tail -n 5 "$log" >&2
    cannot "these packages could not be installed: ${missing[*]}"
  fi
fi

allowed "iptables" unshare --net -- iptables --table nat --append POSTROUTING --jump MASQUERADE
allowed "virtual network devices" unshare --net -- ip link add one type veth peer name other
allowed "network bridges" unshare --net -- ip link add pods type bridge
