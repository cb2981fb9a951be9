# Socle in a container: one binary, no database.
#
#   docker build -t socle .
#   docker run --rm -v socle:/var/lib/socle socle harvest
#   docker run -p 8080:8080 -v socle:/var/lib/socle socle
#
# It holds the demo's layers. For your own, mount a folder with socle.toml, layers/ and styles/:
#   docker run -p 8080:8080 -v ./config:/srv/socle/config:ro -v socle:/var/lib/socle socle

# ---- the pages' assets
FROM node:22-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY web/ ./
RUN node build.mjs

# ---- the program
FROM rust:1-slim-bookworm AS build
# What one of the dependencies in C is built with.
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=web /web/dist web/dist
RUN cargo build --release --locked && strip target/release/socle

# ---- what runs: the same Debian, so the same libc
FROM debian:bookworm-slim
# Certificates of the sources fetched over https.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin socle \
 && install -d -o socle -g socle /var/lib/socle
COPY --from=build /src/target/release/socle /usr/local/bin/socle
COPY config/demo/layers /srv/socle/config/layers
COPY config/demo/data /srv/socle/config/data
COPY config/demo/container.toml /srv/socle/config/socle.toml
COPY styles /srv/socle/config/styles

USER socle
# The default configuration, config/socle.toml, is looked for from here.
WORKDIR /srv/socle
VOLUME /var/lib/socle
EXPOSE 8080
STOPSIGNAL SIGTERM
# bash speaks TCP by itself: no curl in the image.
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/live HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
ENTRYPOINT ["socle"]
CMD ["serve"]
