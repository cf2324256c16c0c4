# A static binary and the certificate authorities that it trusts: no shell, no libc, no root.
#
#     docker build -t millstream .
#     docker run --rm -p 8080:8080 --stop-timeout 40 --ulimit nofile=65536 \
#         -v "$PWD/millstream.toml:/etc/millstream/millstream.toml:ro" millstream
#
# In the file, server.listen has to be "0.0.0.0:8080": 127.0.0.1 of a container cannot be reached.
# Set --stop-timeout, or terminationGracePeriodSeconds in Kubernetes, to what `millstream --check`
# prints, or streams are killed before they have ended. No preStop hook is needed: drain.delay keeps
# the port open until no more connections are sent here.
# The health check needs an admin listener: without [admin] in the file, add --no-healthcheck.
# To reload the file, mount its folder instead: editors replace files, and a mount of a single file
# keeps showing the old one.

# Alpine's target is musl, so the binary is static, on x86-64 and on ARM.
FROM rust:1-alpine AS build
# A C compiler for the ciphers, and the certificate authorities for the image.
RUN apk add --no-cache ca-certificates gcc musl-dev python3
WORKDIR /build
COPY . .
RUN cargo build --release --locked
# The licences of everything in the image.
RUN target=$(rustc -vV | sed -n 's/^host: //p') && \
    cargo fetch --locked --target "$target" && \
    cp -r packaging/licences licences && \
    cp LICENSE licences/millstream && \
    packaging/notices "$target" > licences/crates && \
    cp "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" licences/rust-library.html && \
    gzip licences/crates licences/rust-library.html

FROM scratch
COPY --from=build /build/target/release/millstream /millstream
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/licences /licences
LABEL org.opencontainers.image.licenses="MIT AND Apache-2.0 AND BSD-3-Clause AND ISC AND MPL-2.0"
USER 65534:65534
EXPOSE 8080
STOPSIGNAL SIGTERM
# /healthz and not /readyz: a process that drains is healthy, and must not be stopped again.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s \
    CMD ["/millstream", "--probe", "http://127.0.0.1:9090/healthz"]
ENTRYPOINT ["/millstream"]
CMD ["--sandbox", "/etc/millstream/millstream.toml"]
