//! The QR Secret: ours or not touched. Never applied by force, never listed or watched.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use tokio::time::Instant;

use super::{
    Effects, Step, Subject,
    kubernetes::{Problem, Trouble, within},
};
use crate::{
    api::{WhatsAppSession, names},
    decide::{input::seconds, memory::SecretSight},
    pairing::{self, Pictures},
    provider::Qr,
};

/// Whether a Secret is the one that this very object publishes its codes in.
fn is_ours(secret: &Secret, session: &WhatsAppSession) -> bool {
    let controls = |owner: &&OwnerReference| owner.controller == Some(true);
    let owner = secret.owner_references().iter().find(controls);
    secret.type_.as_deref() == Some(names::QR_TYPE)
        && session.uid().is_some()
        && owner.map(|owner| &owner.uid) == session.metadata.uid.as_ref()
}

fn data(pictures: &Pictures, qr: &Qr, expires_at: &str) -> BTreeMap<String, ByteString> {
    let mut data = BTreeMap::new();
    let mut put = |key: &str, value: &[u8]| data.insert(key.to_owned(), ByteString(value.to_vec()));
    put("qr.png", &pictures.png);
    put("expiresAt", expires_at.as_bytes());
    if let Some(raw) = &pictures.raw {
        put("qr", raw.as_bytes());
    }
    if let Some(svg) = &pictures.svg {
        put("qr.svg", svg.as_bytes());
    }
    if let Some(text) = &pictures.text {
        put("qr.txt", text.as_bytes());
    }
    if let Some(code) = &qr.pairing_code {
        put("pairingCode", code.expose().as_bytes());
    }
    data
}

fn secret(session: &WhatsAppSession, data: BTreeMap<String, ByteString>) -> Secret {
    let mut secret = Secret { type_: Some(names::QR_TYPE.to_owned()), data: Some(data), ..Secret::default() };
    secret.metadata.name = Some(session.qr_secret_name());
    secret.metadata.namespace = session.namespace();
    secret.metadata.owner_references = session.controller_owner_ref(&()).map(|owner| vec![owner]);
    secret.metadata.labels =
        Some(BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), names::MANAGER.to_owned())]));
    secret
}

impl Effects {
    fn secrets(&self, session: &WhatsAppSession) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &session.namespace().unwrap_or_default())
    }

    pub(super) async fn publish(
        &self,
        subject: &mut Subject<'_>,
        qr: &Qr,
        at: Instant,
        good_for: Duration,
    ) -> Result<Step, Problem> {
        let content = qr.content.clone();
        // Some milliseconds of drawing must not hold up what else this thread does.
        let drawn = tokio::task::spawn_blocking(move || pairing::render(&content)).await;
        let Ok(Ok(pictures)) = drawn else {
            tracing::warn!(session = %subject.session.name_any(), "a code cannot be drawn; the next one is awaited");
            let id = subject.recorded.session_id.as_deref().and_then(|id| id.parse().ok());
            if let (Some(account), Some(id)) = (&subject.account, id) {
                account.spoil(&id);
            }
            return Ok(Step::Again);
        };
        let now = self.now();
        let expires = seconds(now.wall.checked_add(good_for).unwrap_or(now.wall)).0.to_string();
        let made = secret(subject.session, data(&pictures, qr, &expires));
        match self.write(subject, made).await {
            Ok(true) => {
                let memory = &mut *subject.memory;
                memory.published = Some(at);
                memory.secret_written = Some(self.now().mono);
                memory.secret = SecretSight::Ours;
                memory.rewarded();
            }
            Ok(false) => subject.memory.secret = SecretSight::Foreign,
            Err(trouble) => {
                subject.memory.secret = SecretSight::Unknown;
                return Err(trouble.during("writing the QR Secret"));
            }
        }
        Ok(Step::Again)
    }

    /// True when it is written, false when the name belongs to somebody else.
    async fn write(&self, subject: &Subject<'_>, mut secret: Secret) -> Result<bool, Trouble> {
        let api = self.secrets(subject.session);
        let name = secret.name_any();
        let params = PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        // A Secret that was there a moment ago is looked at first; a POST would only be refused.
        let mut create = subject.memory.secret != SecretSight::Ours;
        loop {
            if create {
                match within(api.create(&params, &secret)).await {
                    Ok(_) => return Ok(true),
                    Err(trouble) if trouble.already_exists() => {}
                    Err(trouble) => return Err(trouble),
                }
            }
            let Some(current) = within(api.get_opt(&name)).await? else {
                create = true;
                continue;
            };
            if !is_ours(&current, subject.session) {
                return Ok(false);
            }
            secret.metadata.resource_version = current.resource_version();
            match within(api.replace(&name, &params, &secret)).await {
                Ok(_) => return Ok(true),
                Err(trouble) if trouble.is_conflict() || trouble.is_not_found() => {
                    secret.metadata.resource_version = None;
                    create = true;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    pub(super) async fn hide(&self, subject: &mut Subject<'_>) -> Result<Step, Problem> {
        match self.remove(subject.session).await {
            Ok(sight) => {
                subject.memory.secret = sight;
                subject.memory.published = None;
                Ok(Step::Again)
            }
            Err(trouble) => Err(trouble.during("deleting the QR Secret")),
        }
    }

    async fn remove(&self, session: &WhatsAppSession) -> Result<SecretSight, Trouble> {
        let api = self.secrets(session);
        let name = session.qr_secret_name();
        let Some(current) = within(api.get_opt(&name)).await? else { return Ok(SecretSight::Absent) };
        if !is_ours(&current, session) {
            return Ok(SecretSight::Foreign);
        }
        let preconditions = Preconditions { uid: current.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match within(api.delete(&name, &params)).await {
            Ok(_) => Ok(SecretSight::Absent),
            Err(trouble) if trouble.is_not_found() || trouble.is_conflict() => Ok(SecretSight::Absent),
            Err(trouble) => Err(trouble),
        }
    }
}
