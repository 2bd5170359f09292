/**
 * Tools of the Model Context Protocol over the Asset Service, on standard input and output: `node main.ts`. An agent starts
 * this program. Standard output belongs to the protocol; messages for people go to standard error.
 */
import { clientCredentials, createWorkerClient } from '@asset-service/worker';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { createServer } from './server.ts';

const { ASSET_SERVICE_URL, ASSET_SERVICE_TOKEN, ASSET_TOKEN_URL, ASSET_CLIENT_ID, ASSET_CLIENT_SECRET } =
  process.env;

if (!ASSET_SERVICE_URL) {
  console.error('Set ASSET_SERVICE_URL to the address of the service, such as http://127.0.0.1:8080.');
  process.exit(2);
}

/** Client credentials of an issuer, else a fixed token, else none. */
const token =
  ASSET_TOKEN_URL && ASSET_CLIENT_ID && ASSET_CLIENT_SECRET
    ? clientCredentials({
        tokenUrl: ASSET_TOKEN_URL,
        clientId: ASSET_CLIENT_ID,
        clientSecret: ASSET_CLIENT_SECRET,
      })
    : ASSET_SERVICE_TOKEN;

const assets = createWorkerClient({ baseUrl: ASSET_SERVICE_URL, ...(token ? { token } : {}) });
const server = createServer(assets);
server.server.onclose = () => assets.close();
await server.connect(new StdioServerTransport());
