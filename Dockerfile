# The service alone: no compiler, no tests, no second Node.js. Runs with a read-only root file system; the embedded
# store and catalog write to the volume /data.
FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS manifests
WORKDIR /app
COPY package.json package-lock.json ./
COPY bin/package.json bin/
COPY gen/ts/package.json gen/ts/
COPY clients/core/package.json clients/core/
COPY clients/worker/package.json clients/worker/
COPY clients/bff/package.json clients/bff/
COPY clients/browser/package.json clients/browser/

# Without install scripts: they would only download Node.js, which the image already has.
FROM manifests AS build
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

FROM manifests AS dependencies
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force

FROM node:24.21.0-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
WORKDIR /app
ENV NODE_ENV=production ASSET_DATA_DIR=/data
RUN mkdir -m 0700 /data && chown node:node /data
COPY --from=dependencies /app/node_modules node_modules
# Packages of the workspace that the command line imports; node_modules links to them.
COPY --from=build /app/gen/ts gen/ts
COPY --from=build /app/clients clients
COPY --from=build /app/dist dist
COPY bin bin
COPY package.json LICENSE ./
USER node
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["node", "bin/asset-service.js", "health"]
# Starts Node.js with the flags in bin/flags.json and is replaced by it.
ENTRYPOINT ["node", "bin/asset-service.js"]
CMD ["serve"]
