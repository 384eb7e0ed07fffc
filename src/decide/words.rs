//! The sentences that a person reads in a condition or an Event. Change the wording here.
//!
//! Three more places have words, because they know nothing of decisions: `account` says why it stands still or what its
//! Secret lacks, `provider::error` what a call failed with, `provider::place` why a base URL is refused.
//!
//! A message names no token, code or request id, does not change while nothing changes, and ends with the next command
//! where a person must act.

use crate::{
    account::Stream,
    api::{WhatsAppAccount, names, reason::Reason},
    provider::{Class, RemoteSession, SessionId, place::Refused},
};

use kube::ResourceExt;

use super::input::Desired;

const REQUEST: &str = "kubectl annotate --overwrite was";

/// How to ask for a pairing.
#[must_use]
pub fn pair_command(desired: &Desired) -> String {
    format!("{REQUEST} {} -n {} {}=\"$(date -u +%FT%TZ)\"", desired.name, desired.namespace, names::PAIR_REQUESTED_AT)
}

fn delete_command(desired: &Desired) -> String {
    format!("kubectl delete was {} -n {}", desired.name, desired.namespace)
}

fn edit_command(desired: &Desired) -> String {
    format!("kubectl edit was {} -n {}", desired.name, desired.namespace)
}

fn patch_command(desired: &Desired, spec: &str) -> String {
    format!("kubectl patch was {} -n {} --type merge -p '{{\"spec\":{{{spec}}}}}'", desired.name, desired.namespace)
}

/// `AwaitingScan`.
#[must_use]
pub fn awaiting_scan(desired: &Desired) -> String {
    format!(
        "scan the QR code with the phone (WhatsApp, Linked devices): kubectl get secret {} -n {} -o go-template='{{{{index .data \"qr.txt\" | base64decode}}}}'",
        desired.secret_name, desired.namespace
    )
}

/// `AwaitingDashboardScan`.
#[must_use]
pub fn awaiting_dashboard() -> String {
    "the account's event stream is switched off (spec.events.enabled), so the QR code is shown in the provider's dashboard only; scan it there".to_owned()
}

/// `PairingRequired`.
#[must_use]
pub fn pairing_required(desired: &Desired, expired: bool) -> String {
    let why = if expired { "nobody scanned the QR code in time" } else { "pairing waits for a request" };
    format!("{why}; to show a QR code: {}", pair_command(desired))
}

/// `LoggedOut`, `Banned`, `Replaced`.
#[must_use]
pub fn unlinked(reason: Reason, desired: &Desired) -> String {
    let why = match reason {
        Reason::Banned => "WhatsApp banned this number",
        Reason::Replaced => "another client took this session over",
        _ => "the phone's owner removed this linked device",
    };
    format!("{why}; to pair again: {}", pair_command(desired))
}

/// `Creating`.
#[must_use]
pub fn creating() -> String {
    "the remote session is being created".to_owned()
}

/// `Creating` that waits for another object.
#[must_use]
pub fn waiting_for_name() -> String {
    "another session of this name is being created; its outcome decides".to_owned()
}

/// `Retrying` after an answer to a create was lost.
#[must_use]
pub fn resolving() -> String {
    "the answer to the create was lost; before it is tried again, the provider's list decides whether it was made"
        .to_owned()
}

/// `Connected` that is False.
#[must_use]
pub fn not_connected() -> String {
    "the session is not connected".to_owned()
}

/// `Connecting`.
#[must_use]
pub fn connecting() -> String {
    "the remote session is being connected".to_owned()
}

/// `Connecting` before the socket is up.
#[must_use]
pub fn waiting_for_stream() -> String {
    "waiting for the account's event stream, over which the QR code comes".to_owned()
}

/// `Connecting` before the first QR.
#[must_use]
pub fn waiting_for_code() -> String {
    "the remote session is being connected; its QR code comes next".to_owned()
}

/// `Connected`.
#[must_use]
pub fn connected() -> String {
    "the session is connected".to_owned()
}

/// `Disconnecting`.
#[must_use]
pub fn disconnecting() -> String {
    "the remote session is being disconnected".to_owned()
}

/// `Disconnected`.
#[must_use]
pub fn disconnected() -> String {
    "the session is disconnected, as declared".to_owned()
}

/// `Retrying`.
#[must_use]
pub fn retrying(class: Class) -> String {
    format!("{class}; it is tried again with growing pauses")
}

/// `Throttled`.
#[must_use]
pub fn throttled() -> String {
    "the provider asked for a pause; all calls of the account wait".to_owned()
}

/// `InvalidRequest` by the provider.
#[must_use]
pub fn invalid_request(desired: &Desired, detail: &str) -> String {
    format!(
        "the provider refused the request as invalid ({}); it is not sent again until the spec changes: {}",
        names::printable(detail, 200),
        edit_command(desired)
    )
}

/// `InvalidRequest` that was never sent.
#[must_use]
pub fn invalid_spec(desired: &Desired, problem: &str) -> String {
    format!("{}: {}", names::printable(problem, 200), edit_command(desired))
}

/// `PermissionDenied`.
#[must_use]
pub fn permission_denied() -> String {
    "the provider denied permission; give the account's user the right to manage sessions, or use other credentials"
        .to_owned()
}

/// `QuotaExceeded`.
#[must_use]
pub fn quota_exceeded() -> String {
    "the plan has no free session slot; free one or enlarge the plan; then creation goes on by itself".to_owned()
}

/// `NotAllowed`.
#[must_use]
pub fn not_allowed(desired: &Desired) -> String {
    format!(
        "spec.pairing.publishInStatus needs the operator's flag --allow-qr-in-status; set it, or do without: {}",
        patch_command(desired, "\"pairing\":{\"publishInStatus\":false}")
    )
}

/// `AccountNotReady`, no such object.
#[must_use]
pub fn account_not_found(desired: &Desired) -> String {
    format!(
        "there is no WhatsAppAccount {} in this namespace; apply it, or see which there are: kubectl get waa -n {}",
        desired.account, desired.namespace
    )
}

/// `AccountNotReady`, it may become so.
#[must_use]
pub fn account_not_ready(desired: &Desired, why: &str) -> String {
    format!("WhatsAppAccount {} is not ready: {why}; for more: {}", desired.account, describe_account(desired))
}

/// `AccountNotReady`, and somebody must act there.
#[must_use]
pub fn account_stalled(desired: &Desired, why: &str) -> String {
    format!("WhatsAppAccount {} is stalled: {why}; what to do: {}", desired.account, describe_account(desired))
}

fn describe_account(desired: &Desired) -> String {
    format!("kubectl describe waa {} -n {}", desired.account, desired.namespace)
}

/// `AccountNotReady`, it is going.
#[must_use]
pub fn account_deleting(account: &str) -> String {
    format!("WhatsAppAccount {account} is being deleted and starts no new session")
}

/// An account that works.
pub const ACCOUNT_READY: &str = "the provider accepts the credentials";

/// An account whose calls wait.
pub const ACCOUNT_THROTTLED: &str = "the provider asked for a pause; calls go on at status.retryAt";

/// `EventsConnected`; an account that stands still asks nobody.
#[must_use]
pub fn stream(stream: Stream, stalled: bool) -> &'static str {
    match stream {
        Stream::Offline if stalled => "the event stream is down until the account can be used again",
        Stream::Live => "the event stream is up and tells what happens",
        Stream::NotUnderstood => {
            "changes happen that no event announced; the list is read at spec.pollInterval instead. If the provider's events have other names, add them to spec.events"
        }
        Stream::Offline => "the event stream is down and tried again; the list is read at spec.pollInterval meanwhile",
        Stream::Disabled => "the event stream is switched off (spec.events.enabled)",
    }
}

/// `DeletionBlocked`.
#[must_use]
pub fn deletion_blocked(account: &WhatsAppAccount, sessions: usize) -> String {
    let noun = if sessions == 1 { "session needs" } else { "sessions need" };
    format!(
        "{sessions} {noun} this account to end; delete those that are not deleted yet: kubectl get was -n {}",
        account.namespace().unwrap_or_default()
    )
}

/// An account that goes.
#[must_use]
pub fn account_goes(account: &str) -> String {
    format!("WhatsAppAccount {account} is no longer needed by any session and goes")
}

/// `SecretNotFound`.
#[must_use]
pub fn secret_not_found(secret: &str) -> String {
    format!("there is no Secret {secret} in this namespace")
}

/// How to put an account's credentials right, for the reasons that are about them.
#[must_use]
pub fn credentials_remedy(account: &WhatsAppAccount, reason: Reason) -> Option<String> {
    let namespace = account.namespace().unwrap_or_default();
    let secret = &account.spec.credentials_secret_ref.name;
    let create = format!(
        "kubectl create secret generic {secret} --type={} -n {namespace} --from-literal=email=EMAIL --from-literal=password=PASSWORD",
        names::CREDENTIALS_TYPE
    );
    match reason {
        Reason::SecretNotFound => Some(format!("create it: {create}")),
        Reason::SecretTypeInvalid => Some(format!(
            "if nothing else uses it, delete it and create it again: kubectl delete secret {secret} -n {namespace} && {create}"
        )),
        Reason::SecretKeyMissing | Reason::ReadOnlyCredentials | Reason::CredentialsInvalid => {
            Some(format!("to write it anew: {create} --dry-run=client -o yaml | kubectl apply -f -"))
        }
        _ => None,
    }
}

/// A credentials Secret that could not be read.
#[must_use]
pub fn secret_unreadable(secret: &str) -> String {
    format!("Secret {secret} cannot be read from Kubernetes; it is tried again")
}

/// A base URL that may not be called.
#[must_use]
pub fn refused(refused: &Refused) -> String {
    match refused {
        Refused::NotAUrl => format!("{refused}; create the account again with another spec.baseUrl"),
        Refused::Insecure => {
            format!("{refused}; use https://, or run the operator with --allow-insecure-urls for a test")
        }
        Refused::Host(host) => {
            format!("{refused}; if it is meant, run the operator with --allowed-host {host}")
        }
        Refused::Address(address) => {
            format!(
                "{refused}; if it is meant, run the operator with --allowed-cidr {address}/{}",
                if address.is_ipv4() { 32 } else { 128 }
            )
        }
    }
}

/// `NameConflict` with a remote session.
#[must_use]
pub fn name_claimed(desired: &Desired, name: &str) -> String {
    format!(
        "a remote session named {name:?} exists and another object manages it; delete this object and apply it with another spec.displayName: {}",
        delete_command(desired)
    )
}

/// `NameConflict` with another object.
#[must_use]
pub fn name_wanted(desired: &Desired, name: &str, rival: &str) -> String {
    let who = if rival.is_empty() { "another object".to_owned() } else { format!("WhatsAppSession {rival}") };
    format!(
        "{who} declares the remote name {name:?} already; delete this object and apply it with another spec.displayName: {}",
        delete_command(desired)
    )
}

/// `InvalidRequest`, by the account's prefix.
#[must_use]
pub fn name_too_long(desired: &Desired, name: &str) -> String {
    format!(
        "the remote name {name:?}, prefix included, has more than {} characters; delete this object and apply it with a shorter spec.displayName: {}",
        names::REMOTE_NAME_MAX,
        delete_command(desired)
    )
}

/// `AmbiguousCreate`.
#[must_use]
pub fn ambiguous(desired: &Desired, name: &str, candidates: &[SessionId]) -> String {
    let ids = candidates.iter().take(5).map(SessionId::as_str).collect::<Vec<_>>().join(", ");
    format!(
        "several remote sessions are named {name:?}: {ids}; say which one is meant: {}",
        patch_command(desired, "\"sessionId\":\"ID\"")
    )
}

/// `SessionClaimed`.
#[must_use]
pub fn claimed(desired: &Desired, id: &SessionId) -> String {
    format!(
        "another object manages the remote session {id}; delete this one, which touches nothing there: {}",
        delete_command(desired)
    )
}

/// `NotAllowed` to adopt.
#[must_use]
pub fn outside_prefix(desired: &Desired, remote: &RemoteSession, prefix: &str) -> String {
    format!(
        "the remote session {} is named {:?}, without the account's prefix {prefix:?}, so it is somebody else's; delete this object: {}",
        remote.id,
        names::printable(&remote.name, 100),
        delete_command(desired)
    )
}

/// `Missing`.
#[must_use]
pub fn missing(desired: &Desired, id: &SessionId) -> String {
    format!(
        "the provider knows no session {id} any more; nothing is paired again by itself. Restore it there, or delete this object and apply it again, which creates another: {}",
        delete_command(desired)
    )
}

/// `Missing`, an id that was asked for.
#[must_use]
pub fn wanted_missing(desired: &Desired, id: &SessionId) -> String {
    format!(
        "spec.sessionId {id} is not among the account's remote sessions; if it is wrong, delete this object and apply it with the right one: {}",
        delete_command(desired)
    )
}

/// `SecretConflict`.
#[must_use]
pub fn secret_conflict(desired: &Desired) -> String {
    format!(
        "Secret {} exists and is not this session's; it is not touched. See whose it is before it goes: kubectl describe secret {} -n {}",
        desired.secret_name, desired.secret_name, desired.namespace
    )
}

/// `Suspended`.
#[must_use]
pub fn suspended() -> String {
    "spec.suspend is true: nothing is changed until it is false".to_owned()
}

/// `Resumed`.
#[must_use]
pub fn resumed() -> String {
    "spec.suspend is false: the session is kept as declared again".to_owned()
}

/// `Deleting`.
#[must_use]
pub fn deleting() -> String {
    "the remote session is being disconnected before the object goes".to_owned()
}

/// `Deleting` that cannot go on.
#[must_use]
pub fn deleting_waits(why: &str) -> String {
    format!("the remote session cannot be disconnected yet: {why}")
}

/// `Deleting` that takes too long.
#[must_use]
pub fn deleting_late() -> String {
    "the remote session is still to be disconnected, past the deletion deadline; the next failure lets it go".to_owned()
}

/// `DeletionGaveUp`.
#[must_use]
pub fn gave_up(desired: &Desired, id: Option<&str>) -> String {
    let what =
        id.map_or_else(|| "a create whose outcome is not known".to_owned(), |id| format!("the remote session {id}"));
    format!(
        "WhatsAppSession {} is let go past its deletion deadline; {what} was left as it was at the provider",
        desired.name
    )
}

/// `Created`.
#[must_use]
pub fn created(id: &str) -> String {
    format!("created the remote session {id}")
}

/// `Adopted`.
#[must_use]
pub fn adopted(id: &str) -> String {
    format!("adopted the existing remote session {id}")
}

/// Not yet provisioned.
#[must_use]
pub fn not_provisioned() -> String {
    "no remote session is recorded yet".to_owned()
}
