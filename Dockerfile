# The operator: one static program, the public certificate authorities, and nothing else.
#
#   make image                                  an archive in target/image/, see hack/image/build.sh
#   docker build -t whatsapp-operator:0.1.0 .   an image by docker alone, with two labels unset
#
# The builder needs a Rust toolchain, a C compiler with a static glibc, and Debian's ca-certificates. Any image that has
# them will do in place of this one, the official image of Rust.
ARG BUILDER=rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1

FROM ${BUILDER} AS build
WORKDIR /src
COPY . .

# Dependencies stay compiled between builds; the program itself is always compiled anew, because cargo compares times,
# and the files of another checkout may be older than what was compiled from this one.
RUN --mount=type=cache,id=whatsapp-operator-target,target=/src/target,sharing=locked \
    set -eu; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    touch src/lib.rs src/main.rs; \
    cargo fetch --locked --target "$target"; \
    RUSTFLAGS="-C target-feature=+crt-static" \
      cargo build --frozen --release --package whatsapp-operator --bin whatsapp-operator --target "$target"; \
    install -D -m 0555 "target/$target/release/whatsapp-operator" /root.image/whatsapp-operator

# The authorities come from the package's own files and not from the assembled bundle, which holds what was added on
# the builder. nsswitch.conf says what newer versions of glibc do by themselves; older ones ask DNS before /etc/hosts.
# One time for everything, so that the layer depends on nothing but its content.
ARG SOURCE_DATE_EPOCH=0
RUN set -eu; cd /root.image; \
    mkdir -p etc/ssl/certs; \
    cat /usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt; \
    echo 'hosts: files dns' >etc/nsswitch.conf; \
    chmod 0444 etc/ssl/certs/ca-certificates.crt etc/nsswitch.conf; \
    find . -type d -exec chmod 0755 {} +; \
    find . -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +

FROM scratch
COPY --from=build /root.image/ /
ARG VERSION=unset
ARG REVISION=unset
LABEL org.opencontainers.image.title="whatsapp-operator" \
      org.opencontainers.image.description="Kubernetes operator for the WhatsApp sessions of ActiWAPI" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["/whatsapp-operator"]
