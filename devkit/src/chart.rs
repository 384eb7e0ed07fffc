//! What the chart has of the rest of the repository: the CRDs, and a README that lists its values; and what the repository has
//! of the chart: `install.yaml`.

use std::path::PathBuf;

use serde_json::Value;

use crate::{assets, helm};

const DIRECTORY: &str = "charts/whatsapp-operator";
const VALUES: &str = include_str!("../../charts/whatsapp-operator/values.yaml");
const SENTENCE: &str = "# -- ";

const HEAD: &str = "\
# whatsapp-operator

Installs the operator of the WhatsApp sessions of ActiWAPI, one copy of it, and its CustomResourceDefinitions. Needs
Kubernetes 1.30 or newer. There is no published image yet: build and push one, and name it in `image`.

```sh
helm install whatsapp-operator charts/whatsapp-operator --namespace whatsapp-operator-system --create-namespace \\
  --set image.registry=registry.example.com --set image.repository=team/whatsapp-operator --set image.tag=0.1.0
```

The CustomResourceDefinitions belong to the release: upgrades reach them, and an uninstall keeps them and with them every
session (`crds.keep`). To install under another release name afterwards, add `--take-ownership`.

**Rights.** The operator lists, watches and patches accounts and sessions, reads, creates, updates and deletes Secrets that
it knows the names of (it cannot list them), and sends Events. Without `watchNamespaces` that holds in the whole cluster,
and a ValidatingAdmissionPolicy refuses whatever it would create, update or delete that is no Secret of type
`actiwapi.com/qr`. With `watchNamespaces` there are Roles in these namespaces, which must exist, and no rights beyond them;
with `crds.enabled=false` as well, the release holds no cluster-scoped object, and somebody else installs `crds/`. For the
election of a leader it has one Lease, in its own namespace.

**Two Pods.** `replicaCount=2` keeps one standing by with everything read. The Pods agree by the Lease on the one that acts,
so an upgrade may start the new Pod before the old one ends. A Pod without election knows of no other, and Pods of another
name use another Lease: before you turn `leaderElection.enabled` on or change a name, set `replicaCount=0` and wait until the
old Pod is gone, or both act for a while. Leave it on with one Pod too: the Pod that replaces an evicted one starts while that
one still drains, and without the Lease a create under way may be made a second time.

**Network.** `networkPolicy.enabled` refuses everything to and from the Pod but probes, metrics, DNS, the API server and the
provider. A NetworkPolicy knows addresses and ports and no host names, so by itself it lets the Pod reach any public address
on the provider's port, and any address on those of the API server: name both in `networkPolicy.apiServer.cidrs` and
`networkPolicy.provider.cidrs` if they are known. Which host is called is the operator's own rule, `provider.allowedHosts`.

## Values

| value | default | |
|---|---|---|
";

const INSTALL_HEAD: &str = "\
# The operator and its CustomResourceDefinitions without Helm: a Namespace, and the chart with its default values.
# Written by crdgen from charts/whatsapp-operator: change it there.
#
# No image is published. Build one from this repository, and either load it into your nodes as the name below, or push it
# and put its name in here, in the one line that begins with `image:`:
#
#   sed 's#image: .*#image: registry.example.com/team/whatsapp-operator:0.1.0#' install.yaml | kubectl apply --server-side -f -
#
# or, in a kustomization.yaml that has this file among its resources:
#
#   images: [{name: whatsapp-operator, newName: registry.example.com/team/whatsapp-operator, newTag: 0.1.0}]
---
apiVersion: v1
kind: Namespace
metadata:
  name: whatsapp-operator-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// A value as the README lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// From the top, with dots.
    pub path: String,
    /// As it is written in values.yaml.
    pub default: String,
    /// The sentence before it.
    pub sentence: String,
}

/// The chart's files that are printed from elsewhere: paths from the top of the repository, and texts.
#[must_use]
pub fn files(crds: &[(String, String)]) -> Vec<(String, String)> {
    let copies = crds.iter().map(|(name, text)| (format!("{DIRECTORY}/files/crds/{name}"), text.clone()));
    copies.chain([(format!("{DIRECTORY}/README.md"), readme())]).collect()
}

/// Where the chart is.
#[must_use]
pub fn directory() -> PathBuf {
    assets::repository().join(DIRECTORY)
}

/// `install.yaml`, from the chart as it is on the disk.
pub async fn install_manifest() -> Result<String, helm::Error> {
    let chart = directory();
    let args = ["template", "whatsapp-operator", &chart.to_string_lossy(), "--namespace=whatsapp-operator-system"];
    Ok(format!("{INSTALL_HEAD}{}", helm::output(None, &args).await?))
}

fn readme() -> String {
    let row = |value: &Described| format!("| `{}` | `{}` | {} |\n", value.path, value.default, value.sentence);
    let rows: String = described(VALUES).iter().map(row).collect();
    format!("{HEAD}{rows}\n<!-- Written by crdgen from values.yaml: change it there. -->\n")
}

/// The values with a sentence, in order.
#[must_use]
pub fn described(values: &str) -> Vec<Described> {
    let mut parents: Vec<(usize, &str)> = Vec::new();
    let mut sentence = None;
    let mut found = Vec::new();
    for line in values.lines() {
        let text = line.trim_start();
        if let Some(said) = text.strip_prefix(SENTENCE) {
            sentence = Some(said.to_owned());
            continue;
        }
        let Some((key, default)) = text.split_once(':').filter(|_| !text.starts_with('#')) else { continue };
        let depth = line.len() - text.len();
        parents.retain(|(at, _)| *at < depth);
        parents.push((depth, key));
        if let Some(sentence) = sentence.take() {
            let path: Vec<&str> = parents.iter().map(|(_, key)| *key).collect();
            found.push(Described { path: path.join("."), default: default.trim().to_owned(), sentence });
        }
    }
    found
}

/// The values that have no sentence, neither themselves nor as part of one that has.
#[must_use]
pub fn undescribed(values: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, described: &[Described], missing: &mut Vec<String>) {
        if described.iter().any(|known| known.path == path) {
            return;
        }
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &path, described, missing);
                }
            }
            _ => missing.push(path.to_owned()),
        }
    }
    let mut missing = Vec::new();
    walk(values, "", &described(VALUES), &mut missing);
    missing
}
