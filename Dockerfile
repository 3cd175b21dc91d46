# syntax=docker/dockerfile:1
# Two images from one file: `docker build --target hub .` and `docker build --target agent .`

# Give the digest as well where builds must be the same to the byte: --build-arg NODE=node:26.10.0-bookworm-slim@sha256:…, as .gitlab-ci.yml does.
ARG NODE=node:26.10.0-bookworm-slim

# The page, built with everything that development needs.
FROM ${NODE} AS web
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-progress
COPY . .
RUN npm run build

# What runs needs no development packages, and no optional ones: the image brings Node, the operator brings PostgreSQL.
FROM ${NODE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-progress --omit=dev --omit=optional

# Node alone: no package manager, no root, no shell. Whoever gets in finds nothing to go on with.
FROM ${NODE} AS runtime
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hostroom \
  && install -d -o 10001 -g 10001 /data \
  && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /opt/yarn* /usr/local/bin/yarn* \
  /usr/bin/apt* /usr/bin/dpkg* /usr/bin/perl* /usr/bin/bash /usr/bin/dash /usr/bin/sh /bin/bash /bin/dash /bin/sh
WORKDIR /app
ENV NODE_ENV=production NODE_COMPILE_CACHE=/tmp/node-compile-cache
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY src ./src
COPY agent ./agent
USER 10001:10001

# The root file system may be read-only: only /tmp (caches) and the volume are written.
FROM runtime AS agent
ENV STATE_DIR=/data
VOLUME /data
CMD ["node", "agent/main.ts"]

FROM runtime AS hub
COPY migrations ./migrations
COPY --from=web /app/web/dist ./web/dist
ENV HOST=0.0.0.0 PORT=8080 OPS_PORT=8081 DATA_DIR=/data
# A small young generation: 10,000 connections then cost 70 MB instead of 110, at the same CPU (docs/performance.md).
ENV NODE_OPTIONS=--max-semi-space-size=8
VOLUME /data
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.OPS_PORT + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "src/main.ts"]
