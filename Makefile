# The doors of the project. Everything behind them is cargo and a few scripts.
.DEFAULT_GOAL := help
.PHONY: help prerequisites control-plane helm demo image test rights lint chart-check generate image-check image-reproducible schemas node e2e clean

# Passed on to the demo, whether given to make or in the environment.
export KEEP DEMO_KUBECONFIG

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

prerequisites:
	@hack/prerequisites.sh

control-plane: prerequisites ## Compile Kubernetes for demo and tests, once per machine
	@hack/control-plane/build.sh all

helm: prerequisites ## Compile helm for the tests of the chart, once per machine
	@hack/control-plane/build.sh helm

schemas: prerequisites ## Fetch the schemas of Argo CD and Flux for the tests of examples/gitops, once per machine
	@hack/gitops/schemas.sh >/dev/null

node: prerequisites ## Compile what makes this machine a Kubernetes node, once per machine
	@for programs in node containerd runc; do hack/control-plane/build.sh $$programs || exit; done

demo: prerequisites ## Pair a session on a simulated provider (KEEP=1, DEMO_KUBECONFIG=file)
	@if [ -z "$$DEMO_KUBECONFIG" ]; then hack/control-plane/build.sh demo >/dev/null; fi
	@cargo build --locked -p whatsapp-operator -p whatsapp-operator-devkit --bin whatsapp-operator --bin demo
	@cargo run --locked --quiet -p whatsapp-operator-devkit --bin demo

image: ## Build the image and its SBOM into target/image/ (IMAGE_BASE=host: without a registry)
	@hack/image/build.sh
	@hack/image/sbom.sh

image-check: control-plane ## Check the image in target/image/, as root on Linux
	cargo test --locked --test image -- --ignored

image-reproducible: ## Build the image of the commit once more, from nothing, and compare
	@hack/image/reproduce.sh --cold

# Most tests wait for servers, so more of them run at once than there are processors.
export RUST_TEST_THREADS ?= 6

# What the API server noted of the end-to-end tests, which run with the chart's rights: once in their namespaces, once in
# the whole cluster.
RIGHTS := $(CURDIR)/target/rights

define in_cluster_and_compare
	E2E_RIGHTS=cluster E2E_AUDIT_LOGS=$(RIGHTS)/cluster cargo test --locked --workspace --no-fail-fast --test e2e
	cargo run --locked --quiet -p whatsapp-operator-devkit --bin rights -- $(RIGHTS)
endef

test: control-plane helm schemas ## Run every test
	@rm -rf $(RIGHTS)
	E2E_AUDIT_LOGS=$(RIGHTS)/namespaces cargo test --locked --workspace --no-fail-fast
	$(in_cluster_and_compare)

rights: control-plane helm ## Run the end-to-end tests and compare the rights used with those granted
	@rm -rf $(RIGHTS)
	E2E_AUDIT_LOGS=$(RIGHTS)/namespaces cargo test --locked --workspace --no-fail-fast --test e2e
	$(in_cluster_and_compare)

e2e: prerequisites ## Test image and chart on a real node: this machine (Linux, root), kind, or E2E_KUBECONFIG=file
	@hack/e2e.sh

lint: ## Check formatting and lints; warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

chart-check: ## Hold the chart's defaults against the policies of checkov (needs python3)
	@hack/checkov/run.sh

generate: helm ## Write crds/, docs/api-reference.md, what the chart has of them, and install.yaml
	cargo run --locked --quiet -p whatsapp-operator-devkit --bin crdgen

clean: ## Remove what cargo built; the compiled Kubernetes stays in the user's cache
	cargo clean
