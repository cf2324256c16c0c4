# A static binary, and whose certificates it trusts: no shell, no libc, no root.
#
#     docker build -t millstream .
#     docker run --rm -p 8080:8080 --stop-timeout 40 --ulimit nofile=65536 \
#         -v "$PWD/millstream.toml:/etc/millstream/millstream.toml:ro" millstream
#
# In the file, server.listen has to be "0.0.0.0:8080": the image's 127.0.0.1 is reached by nobody.
# --stop-timeout, or in Kubernetes terminationGracePeriodSeconds, is to be what `millstream --check`
# prints, or streams are killed before they have ended. No preStop hook is needed: drain.delay keeps
# the port open until no more connections are sent here.
# The health check asks the admin listener. A file without [admin] has none: run it with --no-healthcheck.
# Mount the folder instead of the file if it is to be reloaded: editors replace files, and a mount
# of a single file keeps showing the old one.

# The host of this image is musl, so what it builds is static, on x86-64 and ARM alike.
FROM rust:1-alpine AS build
# A C compiler for the ciphers, and the issuers of certificates that the image will trust.
RUN apk add --no-cache ca-certificates gcc musl-dev
WORKDIR /build
COPY . .
RUN cargo build --release --locked

FROM scratch
COPY --from=build /build/target/release/millstream /millstream
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65534:65534
EXPOSE 8080
STOPSIGNAL SIGTERM
# /healthz and not /readyz: who is draining is well, and a second SIGTERM would cut its streams.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s \
    CMD ["/millstream", "--probe", "http://127.0.0.1:9090/healthz"]
ENTRYPOINT ["/millstream"]
CMD ["--sandbox", "/etc/millstream/millstream.toml"]
