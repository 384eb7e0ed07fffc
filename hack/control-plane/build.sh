#!/usr/bin/env bash
# Makes sure that the programs of a Kubernetes control plane, or of another module
# beside this one, are on this machine and prints the directory that holds them as
# the last line of stdout. Everything else goes to stderr.
#
#   build.sh demo          etcd, kube-apiserver, kubectl
#   build.sh all           the same and kube-controller-manager
#   build.sh helm          helm, of the module in hack/helm
#   build.sh node          kubelet, kube-proxy, kube-scheduler and the pause program, of hack/node
#   build.sh containerd    containerd, its shim and ctr, of hack/containerd
#   build.sh runc          runc, of hack/runc; needs a C compiler and libseccomp's headers
#   build.sh demo --find   only look, never build (exit 1 when something is missing)
#
# A directory named by KUBEBUILDER_ASSETS is taken when it is complete. Otherwise
# the programs are compiled once from the versions in go.mod into the user's cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
started=$SECONDS
label="control plane"

say() { printf '%s\n' "$*" >&2; }
die() {
  say "$label: $*"
  exit 1
}

usage() {
  say "usage: build.sh demo|all|helm|node|containerd|runc [--find]"
  exit 2
}

set_name=""
find_only=""
for argument in "$@"; do
  case $argument in
    demo | all | helm | node | containerd | runc) set_name=$argument ;;
    --all) set_name=all ;;
    --find) find_only=yes ;;
    *) usage ;;
  esac
done
# What differs between the modules: where it is, whose version counts, how long it takes, what make calls it.
module=$set_name
door=node
cgo=0
tags=()
case $set_name in
  # The smallest come first, so that a failing build fails early.
  demo | all)
    tools=(etcd kubectl kube-apiserver)
    if [[ $set_name == all ]]; then tools+=(kube-controller-manager); fi
    module=control-plane pinned=k8s.io/kubernetes takes="7 minutes" door=control-plane
    ;;
  helm) tools=(helm) pinned=helm.sh/helm/v4 takes="3 minutes" door=helm ;;
  node) tools=(pause kube-proxy kube-scheduler kubelet) pinned=k8s.io/kubernetes takes="2 minutes, after the control plane," ;;
  containerd) tools=(ctr containerd-shim-runc-v2 containerd) pinned=github.com/containerd/containerd/v2 takes="1 minute" ;;
  runc) tools=(runc) pinned=github.com/opencontainers/runc takes="20 seconds" cgo=1 tags=(-tags seccomp) ;;
  *) usage ;;
esac
label=${module/-/ }
here=$(cd "$here/../$module" && pwd)

package_of() {
  case $1 in
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    pause) echo node/pause ;;
    containerd | containerd-shim-runc-v2 | ctr) echo "github.com/containerd/containerd/v2/cmd/$1" ;;
    runc) echo github.com/opencontainers/runc ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
  esac
}

missing_in() {
  local tool
  for tool in "${tools[@]}"; do
    [[ -f $1/$tool && -x $1/$tool ]] || printf '%s\n' "$tool"
  done
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

# Nobody has a node's programs in there.
if [[ -n ${KUBEBUILDER_ASSETS:-} && $door != node ]]; then
  missing=$(missing_in "$KUBEBUILDER_ASSETS")
  if [[ -z $missing ]]; then
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit 0
  fi
  say "$label: KUBEBUILDER_ASSETS ($KUBEBUILDER_ASSETS) lacks ${missing//$'\n'/, }, so it is not used"
fi

# Another version means another directory, so that checkouts of different ages
# can share the cache.
hash=$(cat "$here/go.mod" "$here/go.sum" | sha256 | cut -c1-12)
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/whatsapp-operator/$module-$hash

finish_if_complete() {
  if [[ -z $(missing_in "$cache") ]]; then
    printf '%s\n' "$cache"
    exit 0
  fi
}

finish_if_complete
if [[ -n $find_only ]]; then
  missing=$(missing_in "$cache")
  die "${missing//$'\n'/, } not found in $cache: run \`make $door\` (the first build takes about $takes on 2 cores)"
fi

wanted_go=$(sed -n 's/^go //p' "$here/go.mod")
otherwise=""
if [[ $door != node ]]; then otherwise=", or point KUBEBUILDER_ASSETS at a directory with ${tools[*]}"; fi
command -v go >/dev/null ||
  die "Go is not installed: install Go $wanted_go or newer (https://go.dev/dl/)$otherwise"

cd "$here"
export GOWORK=off CGO_ENABLED=$cgo
# A Go that may fetch newer toolchains does so here; any other refuses go.mod.
if ! problem=$(go list -m 2>&1 >/dev/null); then
  case $problem in
    *"go.mod requires go"* | *toolchain* | *"invalid go version"* | *"unknown block type"*)
      die "$(go version | cut -d' ' -f3) is too old: install Go $wanted_go or newer (https://go.dev/dl/)"
      ;;
    *) die "Go cannot read $here/go.mod: $problem" ;;
  esac
fi

mkdir -p "$cache" || die "cannot create the cache directory $cache"

child=""
work=""
lock_dir=""
clean_up() {
  if [[ -n $child ]]; then
    kill "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
  fi
  if [[ -n $work ]]; then rm -rf "$work"; fi
  if [[ -n $lock_dir ]]; then rm -rf "$lock_dir"; fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

try_lock() {
  if command -v flock >/dev/null; then
    flock -w "$1" 9
  elif mkdir "$cache/.lock.d" 2>/dev/null; then
    lock_dir=$cache/.lock.d
    echo $$ >"$lock_dir/pid"
  else
    # A build that was killed cannot remove its lock.
    local owner
    owner=$(cat "$cache/.lock.d/pid" 2>/dev/null || true)
    if [[ -n $owner ]] && ! kill -0 "$owner" 2>/dev/null; then
      rm -rf "$cache/.lock.d"
    fi
    sleep "$1"
    return 1
  fi
}

exec 9>"$cache/.lock"
if ! try_lock 1; then
  say "$label: another build is under way, waiting for it"
  until try_lock 15; do
    # The other build may still be busy with a program that is not needed here.
    finish_if_complete
    say "$label: still waiting for the other build ($((SECONDS - started)) s)"
  done
fi
finish_if_complete

work=$(mktemp -d "$cache/.work.XXXXXX")
# Inside the cache, so that an interrupted build leaves nothing in /tmp.
export GOTMPDIR=$work

run_with_ticks() {
  local what=$1 begun=$SECONDS next=15
  shift
  "$@" >"$work/log" 2>&1 &
  child=$!
  while kill -0 "$child" 2>/dev/null; do
    sleep 1
    if ((SECONDS - begun >= next)); then
      say "      $what: $((SECONDS - begun)) s"
      next=$((next + 15))
    fi
  done
  local status=0
  wait "$child" || status=$?
  child=""
  return "$status"
}

fail_with_log() {
  if grep -qE 'dial tcp|no such host|i/o timeout|connection refused|TLS handshake|network is unreachable|proxyconnect|module lookup disabled' "$work/log"; then
    tail -n 3 "$work/log" >&2
    die "the Go modules cannot be downloaded: check the network and GOPROXY ($(go env GOPROXY)), then run this again"
  fi
  tail -n 30 "$work/log" >&2
  die "$1"
}

version=$(sed -n "s|^[[:space:]]*$pinned \(v[0-9.]*\).*|\1|p" go.mod)
major=${version#v}
minor=${major#*.}
major=${major%%.*}
minor=${minor%%.*}
case $module in
  helm) stamps=(helm.sh/helm/v4/internal/version.version="$version") ;;
  containerd) stamps=("$pinned/version.Version=$version") ;;
  runc) stamps=(main.version="${version#v}") ;;
  *)
    stamp=k8s.io/component-base/version
    stamps=("$stamp.gitVersion=$version" "$stamp.gitMajor=$major" "$stamp.gitMinor=$minor")
    ;;
esac
flags="-s -w$(printf -- ' -X %s' "${stamps[@]}")"

todo=()
while IFS= read -r tool; do todo+=("$tool"); done < <(missing_in "$cache")

say "$label: building ${todo[*]} ($version) into $cache"
say "      once per machine: about $takes on 2 cores for all of it; an interrupted build continues where it was"

packages=()
for tool in "${todo[@]}"; do packages+=("$(package_of "$tool")"); done
run_with_ticks "downloading modules" go list -mod=readonly ${tags[@]+"${tags[@]}"} -deps -f '{{.ImportPath}}' "${packages[@]}" ||
  fail_with_log "the modules of ${todo[*]} cannot be loaded"

number=0
for tool in "${todo[@]}"; do
  number=$((number + 1))
  say "[$number/${#todo[@]}] building $tool"
  begun=$SECONDS
  run_with_ticks "$tool" go build -mod=readonly -buildvcs=false -trimpath ${tags[@]+"${tags[@]}"} -ldflags "$flags" \
    -o "$work/$tool" "$(package_of "$tool")" || fail_with_log "building $tool failed"
  # The rename is what makes it visible, so nobody ever finds half a program.
  mv -f "$work/$tool" "$cache/$tool"
  say "[$number/${#todo[@]}] $tool is ready ($((SECONDS - begun)) s)"
done

say "$label: ready in $((SECONDS - started)) s"
printf '%s\n' "$cache"
