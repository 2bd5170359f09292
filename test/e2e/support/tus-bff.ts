import { createBffClient, AssetClientError } from '@asset-service/bff';
import { createTusServer, describeTusFile } from '@asset-service/bff/tus';
import { createServer } from 'node:http';

/**
 * A BFF that takes uploads of tus clients, as a process. The signed-in user comes in headers, where a product has a session;
 * the usage and the case come from the browser, the owner never.
 */
const assets = createBffClient({
  baseUrl: process.env['SERVICE_URL']!,
  token: process.env['SERVICE_TOKEN']!,
  retry: { retries: 1, baseDelayMs: 10 },
});

const tus = createTusServer({
  path: '/uploads',
  caller(request) {
    const userId = request.headers.get('x-user');
    const token = request.headers.get('x-user-token');
    if (userId === null || token === null) throw new AssetClientError('UNAUTHENTICATED', 'sign in first');
    return { client: assets.forUser(token), userId };
  },
  describe: (metadata, request) => ({
    ...describeTusFile(metadata),
    owner: request.headers.get('x-user')!,
    usage: metadata['usage'] === 'image' ? 'image' : 'small',
    ...(metadata['case'] && { relations: { case: [metadata['case']] } }),
  }),
  onUploadFinish: async (_request, upload) => {
    const { file } = upload as { file?: { sha256?: string } };
    return { headers: { 'x-sha256': file?.sha256 ?? '' } };
  },
});

const server = createServer((request, response) => void tus.handle(request, response));
server.listen(Number(process.env['PORT']), '127.0.0.1');
