import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Disposition, UploadTransport } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { startService, type Service } from '../support/service.ts';
import { clientOf, randomContent, upload, urlOf, type AssetClient } from './support/calls.ts';

const ALLOWED = 'https://app.example';
const ALLOWED_TOO = 'https://admin.example:8443';

/** Origins that look like an allowed one, and that none of them is. */
const STRANGERS = [
  'https://evil.example',
  'https://app.example.evil.example',
  'https://evil.app.example',
  'http://app.example',
  'https://app.example:444',
  'https://admin.example',
  `${ALLOWED},${ALLOWED_TOO}`,
  'null',
];

const PART_BYTES = 1000;

/** What is answered with, beside a body. */
interface Answer {
  readonly status: number;
  readonly header: (name: string) => string | null;
}

async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, init);
  await response.arrayBuffer();
  return { status: response.status, header: (name) => response.headers.get(name) };
}

/** The URL of one part of an upload that goes straight to the store. */
async function partUrl(client: AssetClient): Promise<string> {
  const { uploadId } = await client.startUpload({
    uploadSpec: { file: { name: 'direct.bin' }, sizeBytes: BigInt(PART_BYTES) },
    transport: UploadTransport.DIRECT,
  });
  const { parts } = await client.signUploadParts({ uploadId, partNumbers: [1] });
  return parts[0]!.url;
}

/** What a browser asks before a page of `origin` may use `method`. */
function preflight(origin: string, method: string): RequestInit {
  return {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type',
    },
  };
}

/** Makes a URL invalid without changing its path. */
const tampered = (url: string) => `${url}0`;

describe.each([
  ['every page', undefined],
  ['the pages of two origins', `${ALLOWED},${ALLOWED_TOO}`],
])('URLs of the service, open to %s', (_, origins) => {
  let service: Service;
  let client: AssetClient;
  let url: string;

  beforeAll(async () => {
    service = await startService(origins === undefined ? {} : { ASSET_URL_ORIGINS: origins });
    client = clientOf(service.url);
    url = await urlOf(client, (await upload(client, randomContent(5000))).id);
  });

  afterAll(() => service?.dispose());

  /** An answer of each kind, by what it is. */
  async function answers(headers: Record<string, string> = {}): Promise<[string, number, Answer][]> {
    const put = (body: Uint8Array<ArrayBuffer>) => ({ method: 'PUT', headers, body });
    const get = (more: Record<string, string> = {}) => ({ headers: { ...headers, ...more } });
    const etag = (await ask(url)).header('etag')!;
    return [
      ['the file', 200, await ask(url, get())],
      ['its head', 200, await ask(url, { method: 'HEAD', headers })],
      ['a range', 206, await ask(url, get({ range: 'bytes=0-9' }))],
      ['a range past the end', 416, await ask(url, get({ range: 'bytes=9999-' }))],
      ['nothing new', 304, await ask(url, get({ 'if-none-match': etag }))],
      ['a refusal', 403, await ask(tampered(url), get())],
      ['another method', 405, await ask(url, { method: 'DELETE', headers })],
      ['nothing there', 404, await ask(`${service.url}/nothing`, get())],
      ['a part', 200, await ask(await partUrl(client), put(randomContent(PART_BYTES)))],
      ['a part that is too short', 400, await ask(await partUrl(client), put(randomContent(1)))],
      ['a part that is refused', 403, await ask(tampered(await partUrl(client)), put(randomContent(1)))],
    ];
  }

  it('prevent responses of any kind from acting in the session of the reader', async () => {
    for (const [what, status, { status: got, header }] of await answers()) {
      expect([what, got]).toEqual([what, status]);
      expect([what, header('x-content-type-options')]).toEqual([what, 'nosniff']);
      expect([what, header('referrer-policy')]).toEqual([what, 'no-referrer']);
      const policy = header('content-security-policy')?.split('; ');
      expect([what, policy]).toEqual([what, expect.arrayContaining(["default-src 'none'", 'sandbox'])]);
      // Whatever else the policy opens, no script, frame, form or request of the file's own is among it.
      const opened = /^(script|frame|child|worker|connect|form|base)/;
      expect([what, policy?.filter((directive) => opened.test(directive))]).toEqual([what, []]);
    }
  });

  it('have PDF outside of a sandbox, and shut in by the rest of the policy', async () => {
    const pdf = new TextEncoder().encode('%PDF-1.7\n');
    const file = await upload(client, pdf, { file: { name: 'a.pdf', contentType: 'application/pdf' } });
    const { status, header } = await ask(await urlOf(client, file.id, { disposition: Disposition.INLINE }));
    expect(status).toBe(200);
    expect(header('content-security-policy')).toContain("default-src 'none'");
    expect(header('content-security-policy')).not.toContain('sandbox');
    expect(header('x-content-type-options')).toBe('nosniff');
    expect(header('referrer-policy')).toBe('no-referrer');
  });

  if (origins === undefined) {
    it('may be read by pages of every origin, and shown by them', async () => {
      for (const [what, status, { status: got, header }] of await answers({ origin: STRANGERS[0]! })) {
        expect([what, got]).toEqual([what, status]);
        expect([what, header('access-control-allow-origin')]).toEqual([what, '*']);
        expect([what, header('cross-origin-resource-policy')]).toEqual([what, 'cross-origin']);
        // With credentials `*` would not count, and there is none that the route looks at.
        expect([what, header('access-control-allow-credentials')]).toEqual([what, null]);
      }
    });
  } else {
    it.each([ALLOWED, ALLOWED_TOO])('may be read by pages of %s', async (origin) => {
      for (const [what, status, { status: got, header }] of await answers({ origin })) {
        expect([what, got]).toEqual([what, status]);
        expect([what, header('access-control-allow-origin')]).toEqual([what, origin]);
        expect([what, header('access-control-allow-credentials')]).toEqual([what, null]);
        expect([what, header('vary')?.toLowerCase()]).toEqual([what, 'origin']);
      }
    });

    it.each(STRANGERS)('may not be read by pages of %s', async (origin) => {
      for (const [what, , { header }] of await answers({ origin })) {
        expect([what, header('access-control-allow-origin')]).toEqual([what, null]);
        expect([what, header('cross-origin-resource-policy')]).toEqual([what, 'same-site']);
        // A cache must not give this answer to a page that may read it.
        expect([what, header('vary')?.toLowerCase()]).toEqual([what, 'origin']);
      }
    });

    it('may not be shown by pages of other sites, which send no origin with an image', async () => {
      const { header } = await ask(url);
      expect(header('cross-origin-resource-policy')).toBe('same-site');
      expect(header('access-control-allow-origin')).toBeNull();
    });
  }

  it.each(['GET', 'HEAD', 'PUT'])(
    'answer the question of a browser whether a page may %s',
    async (method) => {
      const asked = method === 'PUT' ? await partUrl(client) : url;
      const { status, header } = await ask(asked, preflight(ALLOWED, method));
      expect(status).toBe(204);
      expect(header('access-control-allow-origin')).toBe(origins === undefined ? '*' : ALLOWED);
      expect(header('access-control-allow-methods')?.split(', ')).toContain(method);
      expect(header('access-control-allow-headers')).toBe('*');

      const refused = await ask(asked, preflight(STRANGERS[0]!, method));
      expect(refused.header('access-control-allow-origin')).toBe(origins === undefined ? '*' : null);
    },
  );

  it('let a page read the name, the range and the etag', async () => {
    const { header } = await ask(url, { headers: { origin: ALLOWED } });
    const exposed = header('access-control-expose-headers')?.split(', ');
    expect(exposed).toEqual(expect.arrayContaining(['content-disposition', 'content-range', 'etag']));
  });
});
