//! How the programs of a control plane are started.

use std::{net::Ipv4Addr, path::Path};

use super::{Error, Options, failed, files::Files};
use crate::process::{Guard, Managed};

/// Sockets in the working directory, which is the control plane's own. A port could be taken by the
/// etcd of another test run in between, and both would then quietly share its data.
const ETCD_URL: &str = "unix://etcd.sock";
const ETCD_PEER_URL: &str = "unix://etcd-peer.sock";

fn start(
    guard: &Guard,
    programs: &Path,
    files: &Files,
    name: &str,
    flags: &[(&str, &str)],
    more: &[String],
) -> Result<Managed, Error> {
    guard
        .launch(name, programs.join(name), files.logs.join(format!("{name}.log")))
        .current_dir(&files.directory)
        .args(flags.iter().map(|(flag, value)| format!("--{flag}={value}")))
        .args(more)
        .spawn()
        .map_err(failed(format!("cannot start {name}")))
}

pub(super) fn start_etcd(guard: &Guard, programs: &Path, files: &Files) -> Result<Managed, Error> {
    let flags = [
        ("data-dir", &*files.etcd_data.to_string_lossy()),
        ("listen-client-urls", ETCD_URL),
        ("advertise-client-urls", ETCD_URL),
        ("listen-peer-urls", ETCD_PEER_URL),
        ("initial-advertise-peer-urls", ETCD_PEER_URL),
        ("name", "local"),
        ("initial-cluster", &format!("local={ETCD_PEER_URL}")),
        // The data need not survive a crash of the machine.
        ("unsafe-no-fsync", "true"),
        ("log-level", "warn"),
    ];
    start(guard, programs, files, "etcd", &flags, &[])
}

pub(super) fn start_api_server(
    guard: &Guard,
    programs: &Path,
    files: &Files,
    (address, port): (Ipv4Addr, u16),
    options: &Options,
) -> Result<Managed, Error> {
    let (address, port) = (address.to_string(), port.to_string());
    let key = files.service_account_key.to_string_lossy();
    let public_key = files.service_account_public_key.to_string_lossy();
    let mut flags = vec![
        ("etcd-servers", ETCD_URL),
        ("secure-port", &port),
        ("bind-address", &address),
        // Otherwise it looks for the address of a network and fails on machines without one.
        ("advertise-address", &address),
        // Whether Pods find it under the service's address; loopback is refused there.
        ("endpoint-reconciler-type", if options.address.is_some() { "lease" } else { "none" }),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("service-account-key-file", &*public_key),
        ("service-account-signing-key-file", &*key),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("authorization-mode", "RBAC"),
        ("service-cluster-ip-range", "10.0.0.0/24"),
        ("allow-privileged", "true"),
        ("profiling", "false"),
        // Many tests at the same time are not the overload that these limits protect from.
        ("max-requests-inflight", "3000"),
        ("max-mutating-requests-inflight", "1500"),
        // A rotated log would lose events.
        ("audit-log-maxsize", "10000"),
    ];
    let certificates = files.certificates.to_string_lossy();
    let tokens = files.tokens.to_string_lossy();
    let audit_policy = files.audit_policy.to_string_lossy();
    let audit_log = files.audit_log.to_string_lossy();
    flags.extend([
        ("cert-dir", &*certificates),
        ("token-auth-file", &*tokens),
        ("audit-policy-file", &*audit_policy),
        ("audit-log-path", &*audit_log),
    ]);
    if !options.with_controller_manager {
        // Nobody makes the default ServiceAccount that it asks every Pod to have.
        flags.push(("disable-admission-plugins", "ServiceAccount"));
    }
    start(guard, programs, files, "kube-apiserver", &flags, &options.api_server_args)
}

pub(super) fn start_controller_manager(guard: &Guard, programs: &Path, files: &Files) -> Result<Managed, Error> {
    let flags = [
        ("kubeconfig", &*files.kubeconfig.to_string_lossy()),
        ("service-account-private-key-file", &*files.service_account_key.to_string_lossy()),
        ("root-ca-file", &*files.certificate.to_string_lossy()),
        ("use-service-account-credentials", "true"),
        ("leader-elect", "false"),
        // Nobody asks it for anything, so it needs no port.
        ("secure-port", "0"),
        // A namespace per test: they end in numbers, and each end is a list and a delete per kind.
        ("concurrent-namespace-syncs", "50"),
        ("concurrent-gc-syncs", "50"),
        ("kube-api-qps", "1000"),
        ("kube-api-burst", "2000"),
    ];
    start(guard, programs, files, "kube-controller-manager", &flags, &[])
}
