//! The objects, one by one: the Deployment, the budget, the network policy, the definitions, and what users add.

use serde_json::{Value, json};

use crate::{NAMESPACE, Objects, RELEASE, render, rendered, strings};

/// A custom resource may be 1.5 MB, but what one has to read has no such limit.
const SMALL: usize = 64 * 1024;

#[tokio::test]
async fn two_pods_may_overlap_as_long_as_they_elect_a_leader() {
    let two = rendered("replicaCount=2").await;
    let deployment = two.the("Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(
        deployment["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    );
    let flags =
        ["--leader-elect".to_owned(), format!("--lease-namespace={NAMESPACE}"), format!("--lease-name={RELEASE}")];
    assert!(flags.iter().all(|flag| two.args().contains(flag)), "{:?}", two.args());
    let identity =
        json!([{"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}]);
    assert_eq!(two.container()["env"], identity);

    let alone = rendered("leaderElection.enabled=false").await;
    assert_eq!(alone.the("Deployment")["spec"]["strategy"], json!({"type": "Recreate"}));
    assert!(alone.args().iter().all(|arg| !arg.contains("lea")), "{:?}", alone.args());
    assert!(alone.container()["env"].is_null());
}

#[tokio::test]
async fn namespaces_and_networks_reach_the_operator_as_flags() {
    let objects = rendered(
        "watchNamespaces={sales,support},provider.allowedHosts={a.example.com,b.example.com:8443},\
         provider.allowedCidrs={10.1.0.0/16},provider.allowInsecureUrls=true,extraArgs={--settle-time=1s},\
         logging.level=debug,logging.format=text",
    )
    .await;
    let args = objects.args();
    for flag in [
        "--watch-namespace=sales",
        "--watch-namespace=support",
        "--allowed-host=a.example.com",
        "--allowed-host=b.example.com:8443",
        "--allowed-cidr=10.1.0.0/16",
        "--allow-insecure-urls",
        "--settle-time=1s",
        "--log-level=debug",
        "--log-format=text",
    ] {
        assert_eq!(args.iter().filter(|arg| *arg == flag).count(), 1, "{flag}: {args:?}");
    }
    let defaults = Objects::parse(&render(&[]).await).args();
    for flag in ["watch-namespace", "allowed-cidr", "insecure", "ca-file"] {
        assert!(defaults.iter().all(|arg| !arg.contains(flag)), "{defaults:?}");
    }
}

#[tokio::test]
async fn both_probes_are_on_and_metrics_can_be_off() {
    let port = |objects: &Objects, name: &str| {
        let ports = objects.container()["ports"].as_array().unwrap().clone();
        ports.iter().find(|port| port["name"] == name).map(|port| port["containerPort"].to_string())
    };
    let on = Objects::parse(&render(&[]).await);
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(on.container()[probe]["httpGet"], json!({"path": path, "port": "health"}));
    }
    for (name, flag) in [("health", "--health-address=0.0.0.0:"), ("metrics", "--metrics-address=0.0.0.0:")] {
        let flag = format!("{flag}{}", port(&on, name).unwrap());
        assert!(on.args().contains(&flag), "{:?}", on.args());
    }
    let off = rendered("metrics.enabled=false").await;
    assert!(off.of_kind("Service").is_empty());
    assert_eq!(port(&off, "metrics"), None);
    assert!(off.args().iter().all(|arg| !arg.contains("metrics")));
}

#[tokio::test]
async fn what_users_add_stands_beside_what_the_chart_needs() {
    let values = json!({
        "provider": {"caConfigMap": "authorities"},
        "imagePullSecrets": [{"name": "registry"}],
        "extraEnv": [{"name": "A", "value": "b"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "podAnnotations": {"note": "yes"},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
            {"maxSkew": 2, "topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}},
        ],
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-object"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}-text'}",
        ],
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    let objects = Objects::parse(&render(&["--values", file.path().to_str().unwrap()]).await);
    let (pod, container) = (objects.pod(), objects.container());
    let names = |list: &Value| list.as_array().unwrap().iter().map(|item| item["name"].clone()).collect::<Vec<_>>();
    assert_eq!(pod["spec"]["imagePullSecrets"], values["imagePullSecrets"]);
    assert_eq!(pod["metadata"]["annotations"]["note"], "yes");
    assert_eq!(names(&container["env"]), ["POD_NAME", "A"]);
    assert_eq!(names(&pod["spec"]["volumes"]), ["provider-ca", "more"]);
    assert_eq!(names(&container["volumeMounts"]), ["provider-ca", "more"]);
    assert_eq!(pod["spec"]["volumes"][0]["configMap"]["name"], "authorities");
    let file = format!("--provider-ca-file={}/ca.crt", container["volumeMounts"][0]["mountPath"].as_str().unwrap());
    assert!(objects.args().contains(&file), "{:?}", objects.args());
    let spread = pod["spec"]["topologySpreadConstraints"].as_array().unwrap();
    assert_eq!(spread[0]["labelSelector"], objects.the("Deployment")["spec"]["selector"]);
    assert_eq!((&spread[0]["topologyKey"], &spread[1]["topologyKey"]), (&json!("zone"), &json!("host")));
    assert_eq!(spread[1]["labelSelector"], json!({}));
    assert_eq!(
        objects.of_kind("ConfigMap").iter().map(|object| &object["metadata"]["name"]).collect::<Vec<_>>(),
        [&json!(format!("{RELEASE}-object")), &json!(format!("{RELEASE}-text"))]
    );
}

#[tokio::test]
async fn a_budget_says_one_of_two_things_and_hinders_no_drain_by_itself() {
    for (values, says) in [
        ("", json!({"maxUnavailable": 1})),
        (",podDisruptionBudget.maxUnavailable=0", json!({"maxUnavailable": 0})),
        (",podDisruptionBudget.maxUnavailable=50%", json!({"maxUnavailable": "50%"})),
        (",podDisruptionBudget.minAvailable=0", json!({"minAvailable": 0})),
        (",podDisruptionBudget.minAvailable=2", json!({"minAvailable": 2})),
    ] {
        let objects = rendered(&format!("podDisruptionBudget.enabled=true{values}")).await;
        let mut spec = objects.the("PodDisruptionBudget")["spec"].clone();
        let spec = spec.as_object_mut().unwrap();
        spec.retain(|key, _| key == "minAvailable" || key == "maxUnavailable");
        assert_eq!(Value::from(spec.clone()), says, "{values}");
    }
    assert!(Objects::parse(&render(&[]).await).of_kind("PodDisruptionBudget").is_empty());
}

/// The rules of one direction as ports and peers.
fn rules(objects: &Objects, direction: &str) -> Vec<(Vec<String>, Value)> {
    let peers = if direction == "ingress" { "from" } else { "to" };
    let rules = objects.the("NetworkPolicy")["spec"][direction].as_array().unwrap();
    let ports = |rule: &Value| {
        let port = |port: &Value| port["port"].as_str().map_or_else(|| port["port"].to_string(), str::to_owned);
        rule["ports"].as_array().unwrap().iter().map(port).collect()
    };
    rules.iter().map(|rule| (ports(rule), rule[peers].clone())).collect()
}

fn cidrs(peers: &Value) -> Vec<String> {
    peers.as_array().unwrap().iter().map(|peer| peer["ipBlock"]["cidr"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_network_policy_lets_nothing_through_but_probes_metrics_names_api_server_and_provider() {
    let objects = rendered("networkPolicy.enabled=true").await;
    assert_eq!(objects.the("NetworkPolicy")["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        rules(&objects, "ingress"),
        [(vec!["health".to_owned()], Value::Null), (vec!["metrics".to_owned()], Value::Null)]
    );
    let egress = rules(&objects, "egress");
    assert_eq!(egress.len(), 3);
    assert_eq!(egress[0], (vec!["53".to_owned(), "53".to_owned()], Value::Null));
    assert_eq!(egress[1], (vec!["443".to_owned(), "6443".to_owned()], Value::Null));
    assert_eq!(egress[2].0, ["443"]);
    assert_eq!(cidrs(&egress[2].1), ["0.0.0.0/0", "::/0"]);
    let kept_out = |peer: usize| strings(&egress[2].1[peer]["ipBlock"]["except"]);
    for private in ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"] {
        assert!(kept_out(0).contains(&private.to_owned()), "{private}");
    }
    for private in ["fc00::/7", "fe80::/10"] {
        assert!(kept_out(1).contains(&private.to_owned()), "{private}");
    }
}

#[tokio::test]
async fn the_network_policy_follows_the_provider_and_what_is_known_of_the_network() {
    let provider = "provider.allowedHosts={a.example.com,a.example.com:443,b.example.com:8443},provider.allowedCidrs={10.1.0.0/16}";
    let objects = rendered(&format!("networkPolicy.enabled=true,{provider}")).await;
    let (ports, peers) = rules(&objects, "egress").remove(2);
    assert_eq!(ports, ["443", "8443"]);
    assert_eq!(cidrs(&peers), ["0.0.0.0/0", "::/0", "10.1.0.0/16"]);

    let known = "networkPolicy.apiServer.cidrs={10.96.0.1/32},networkPolicy.apiServer.ports={443},\
                 networkPolicy.provider.cidrs={203.0.113.0/24},networkPolicy.dnsPorts={5353},\
                 networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus,\
                 networkPolicy.extraIngress[0].ports[0].port=9,networkPolicy.extraEgress[0].ports[0].port=3128";
    let objects = rendered(&format!("networkPolicy.enabled=true,{known}")).await;
    let ingress = rules(&objects, "ingress");
    assert_eq!(ingress[1].1, json!([{"podSelector": {"matchLabels": {"app": "prometheus"}}}]));
    assert_eq!(ingress[2].0, ["9"]);
    let egress = rules(&objects, "egress");
    assert_eq!(egress[0].0, ["5353", "5353"]);
    assert_eq!((egress[1].0.clone(), cidrs(&egress[1].1)), (vec!["443".to_owned()], vec!["10.96.0.1/32".to_owned()]));
    assert_eq!(cidrs(&egress[2].1), ["203.0.113.0/24"]);
    assert_eq!(egress[3].0, ["3128"]);

    // Whoever takes the list away gets the operator's own default, and not every port.
    let nobody = rendered("networkPolicy.enabled=true,provider.allowedHosts=null").await;
    assert_eq!(rules(&nobody, "egress")[2].0, ["443"]);
    let without = rendered("networkPolicy.enabled=true,metrics.enabled=false").await;
    assert_eq!(rules(&without, "ingress").len(), 1);
}

#[tokio::test]
async fn the_definitions_are_those_of_the_types_are_small_and_are_kept() {
    let text = render(&[]).await;
    for part in text.split("\n---\n").filter(|part| part.contains("kind: CustomResourceDefinition")) {
        assert!(part.len() < SMALL, "{} bytes", part.len());
    }
    let objects = Objects::parse(&text);
    let definitions = objects.of_kind("CustomResourceDefinition");
    let types = whatsapp_operator::api::crd::all();
    assert_eq!(definitions.len(), types.len());
    for (of_chart, (_, of_types)) in definitions.iter().zip(types) {
        assert_eq!(of_chart["metadata"]["name"], of_types["metadata"]["name"]);
        assert_eq!(of_chart["spec"], of_types["spec"]);
        assert_eq!(of_chart["metadata"]["annotations"], json!({"helm.sh/resource-policy": "keep"}));
    }
    let annotations = async |values: &str| {
        let objects = rendered(values).await;
        objects
            .of_kind("CustomResourceDefinition")
            .iter()
            .map(|crd| crd["metadata"]["annotations"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(annotations("crds.keep=false").await, [Value::Null, Value::Null]);
    let both = json!({"helm.sh/resource-policy": "keep", "a": "b"});
    assert_eq!(annotations("crds.annotations.a=b").await, [both.clone(), both]);
    assert!(annotations("crds.enabled=false").await.is_empty());
}

#[tokio::test]
async fn a_monitor_scrapes_as_it_is_told() {
    let told = "enabled=true,labels.release=prometheus,interval=30s,scrapeTimeout=10s,relabelings[0].action=drop,metricRelabelings[0].action=keep";
    for (monitor, kind, endpoints) in
        [("serviceMonitor", "ServiceMonitor", "endpoints"), ("podMonitor", "PodMonitor", "podMetricsEndpoints")]
    {
        let values: Vec<String> = told.split(',').map(|value| format!("{monitor}.{value}")).collect();
        let objects = rendered(&values.join(",")).await;
        let monitor = objects.the(kind);
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        assert_eq!(
            monitor["spec"][endpoints],
            json!([{
                "port": "metrics", "honorLabels": true, "interval": "30s", "scrapeTimeout": "10s",
                "relabelings": [{"action": "drop"}], "metricRelabelings": [{"action": "keep"}],
            }])
        );
    }
}
