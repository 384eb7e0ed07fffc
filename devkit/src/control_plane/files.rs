//! What the programs of a control plane read and write, in one directory.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SecureRandom as _;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use super::{Error, failed};

/// The administrator's name.
pub(super) const ADMIN: &str = "admin";

/// What DER puts before a point on the curve P-256 to make it a public key. kube-apiserver does not
/// take the public half out of a private key in this format by itself.
const P256_PUBLIC_KEY_HEADER: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// One line for every finished request; the bodies would hold Secrets.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted, Panic]
rules:
  - level: Metadata
";

/// Where everything is inside the directory of one control plane.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) etcd_socket: PathBuf,
    pub(super) etcd_data: PathBuf,
    pub(super) certificates: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) certificate_key: PathBuf,
    pub(super) service_account_key: PathBuf,
    pub(super) service_account_public_key: PathBuf,
    pub(super) tokens: PathBuf,
    pub(super) audit_policy: PathBuf,
    pub(super) audit_log: PathBuf,
    pub(super) kubeconfig: PathBuf,
    pub(super) logs: PathBuf,
}

impl Files {
    pub(super) fn new(directory: &Path) -> Self {
        let certificates = directory.join("certificates");
        Self {
            directory: directory.to_path_buf(),
            etcd_socket: directory.join("etcd.sock"),
            etcd_data: directory.join("etcd"),
            // Self-signed certificates get this name, and their file holds the whole chain.
            certificate: certificates.join("apiserver.crt"),
            certificate_key: certificates.join("apiserver.key"),
            certificates,
            service_account_key: directory.join("service-account.key"),
            service_account_public_key: directory.join("service-account.pub"),
            tokens: directory.join("tokens.csv"),
            audit_policy: directory.join("audit-policy.yaml"),
            audit_log: directory.join("audit.log"),
            kubeconfig: directory.join("kubeconfig"),
            logs: directory.join("logs"),
        }
    }

    /// Writes what the programs read and returns the admin's token.
    pub(super) fn write(&self) -> Result<String, Error> {
        let random = ring::rand::SystemRandom::new();
        let mut secret = [0_u8; 16];
        random.fill(&mut secret).map_err(|_| Error::Random)?;
        let token = secret.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| Error::Random)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).map_err(|_| Error::Random)?;
        let public = [P256_PUBLIC_KEY_HEADER, pair.public_key().as_ref()].concat();
        let of_audit = self.audit_log.parent().unwrap_or(&self.directory);
        fs::create_dir_all(&self.logs)
            .and_then(|()| fs::create_dir_all(of_audit))
            .and_then(|()| fs::write(&self.service_account_key, pem("PRIVATE KEY", private.as_ref())))
            .and_then(|()| fs::write(&self.service_account_public_key, pem("PUBLIC KEY", &public)))
            .and_then(|()| fs::write(&self.tokens, format!("{token},{ADMIN},{ADMIN},\"system:masters\"\n")))
            .and_then(|()| fs::write(&self.audit_policy, AUDIT_POLICY))
            .map_err(failed("cannot write the files of the control plane"))?;
        Ok(token)
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}

/// A file that both kubectl and the client read: JSON is YAML too.
pub(super) fn kubeconfig(url: &str, ca: &[u8], user: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "local",
            "cluster": { "server": url, "certificate-authority-data": BASE64.encode(ca) },
        }],
        "users": [{ "name": user, "user": { "token": token } }],
        "contexts": [{ "name": "local", "context": { "cluster": "local", "user": user } }],
        "current-context": "local",
    })
    .to_string()
}
