# The gateway for real WhatsApp numbers: the plain build, without the sandbox feature.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p passerelle \
    && cp target/release/passerelle /passerelle

FROM debian:bookworm-slim
# With --build-arg FFMPEG=1 the image has ffmpeg, which converts videos that phones cannot play. Its two
# hundred libraries (half a gigabyte) need updates too, so leave it out if you send no such videos.
ARG FFMPEG=
# The system's root certificates verify WhatsApp's TLS certificates.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates ${FFMPEG:+ffmpeg} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /data --create-home passerelle \
    && install -d -o passerelle /files
COPY --from=build /passerelle /usr/local/bin/passerelle
COPY LICENSE /usr/share/doc/passerelle/LICENSE
USER passerelle
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENV PASSERELLE_LISTEN=0.0.0.0:8080 \
    PASSERELLE_DATABASE_URL=sqlite:/data/passerelle.db \
    PASSERELLE_MEDIA_STORE=/data/media
# PASSERELLE_KEK is required. Without it the gateway refuses to start and explains how to make one.
ENTRYPOINT ["passerelle"]
CMD ["serve"]
