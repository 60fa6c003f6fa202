# The gateway for real numbers: the plain build, without the sandbox feature.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p passerelle \
    && cp target/release/passerelle /passerelle

FROM debian:bookworm-slim
# Films that a phone does not play are converted where ffmpeg is: --build-arg FFMPEG=1. It brings some two hundred
# libraries, half a gigabyte to keep up to date, so whoever sends no such films does without.
ARG FFMPEG=
# WhatsApp's certificates are checked against the system's roots.
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
# PASSERELLE_KEK must be given; without one the gateway refuses to start and says how to make one.
ENTRYPOINT ["passerelle"]
CMD ["serve"]
