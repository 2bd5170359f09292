import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient, type CallOptions } from '@connectrpc/connect';
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from '@connectrpc/connect-node';
import { AssetService } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Authority, replaceFile, type Certificate } from '../support/certificates.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { healthOf, startService, type Service } from '../support/service.ts';
import { eventually } from '../support/eventually.ts';
import { failureOf } from './support/failures.ts';

let dir: string;
let authority: Authority;
let stranger: Authority;

beforeAll(async () => {
  dir = await makeDir('certificates');
  authority = await Authority.create(dir, 'authority');
  stranger = await Authority.create(dir, 'stranger');
});

afterAll(() => removeDir(dir));

/** Makes a TLS connection and leaves it to the caller; rejects if none comes about. */
function handshake(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
    socket.once('secureConnect', () => resolve(socket)).once('error', reject);
  });
}

describe('the port with TLS', () => {
  let service: Service;
  let cert: string;
  let key: string;

  beforeAll(async () => {
    const first = await authority.issue('server', { alternativeNames: ['IP.1 = 127.0.0.1'] });
    [cert, key] = [join(dir, 'live.pem'), join(dir, 'live.key')];
    await writeFile(cert, first.cert);
    await writeFile(key, first.key);
    service = await startService({ ASSET_TLS_CERT: cert, ASSET_TLS_KEY: key });
  });

  afterAll(() => service?.dispose());

  /** The name in the certificate that a new connection is shown. */
  async function shown(): Promise<unknown> {
    const socket = await handshake(service.port);
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return subject.CN;
  }

  it.each(['TLSv1', 'TLSv1.1'] as const)('refuses %s', async (version) => {
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(handshake(service.port, old)).rejects.toThrow(/alert|protocol|version/);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('speaks %s', async (version) => {
    const socket = await handshake(service.port, { minVersion: version, maxVersion: version });
    expect(socket.getProtocol()).toBe(version);
    socket.destroy();
  });

  it('shows a new certificate without a restart, and keeps the connections that it has', async () => {
    expect(await shown()).toBe('server');
    const transport = createGrpcTransport({
      baseUrl: service.url,
      nodeOptions: { rejectUnauthorized: false },
    });
    const kept = createClient(AssetService, transport);
    await kept.listFiles({});
    const second = await authority.issue('second', { alternativeNames: ['IP.1 = 127.0.0.1'] });
    await replaceFile(cert, second.cert);
    // Half of the replacement: the certificate does not fit the key.
    await eventually(() => expect(service.log()).toContain('cannot be read anew'));
    expect(await shown()).toBe('server');
    await replaceFile(key, second.key);
    await eventually(async () => expect(await shown()).toBe('second'));
    await kept.listFiles({});
    expect(service.log()).not.toContain('PRIVATE KEY');

    await replaceFile(cert, 'no certificate');
    await eventually(() => expect(service.log().match(/cannot be read anew/g)).toHaveLength(2));
    expect(await shown()).toBe('second');
  });
});

describe('client certificates', () => {
  let issuer: Issuer;
  let service: Service;
  let clientCa: string;
  let certificates: Readonly<Record<string, Certificate>>;

  beforeAll(async () => {
    issuer = await startIssuer();
    const server = await authority.issue('server', { alternativeNames: ['IP.1 = 127.0.0.1'] });
    certificates = {
      worker: await authority.issue('worker'),
      bff: await authority.issue('bff', { alternativeNames: ['URI.1 = spiffe://example.org/bff'] }),
      unknown: await authority.issue('unknown'),
      expired: await authority.issue('expired', { subject: '/CN=worker', days: -1 }),
      forged: await stranger.issue('forged', { subject: '/CN=worker' }),
      twoNames: await authority.issue('two-names', { subject: '/CN=worker/CN=other' }),
      smuggled: await authority.issue('smuggled', { subject: '/CN=spiffe:\\/\\/example.org\\/bff' }),
      quoted: await authority.issue('quoted', {
        alternativeNames: ['URI.1 = https://example.com/, URI:spiffe://example.org/bff'],
      }),
      between: await authority.issue('between', {
        alternativeNames: ['URI.1 = https://example.com/, URI:spiffe://example.org/bff, DNS:x'],
      }),
      longer: await authority.issue('longer', { alternativeNames: ['URI.1 = spiffe://example.org/bff2'] }),
      below: await authority.issue('below', { alternativeNames: ['URI.1 = spiffe://example.org/bff/x'] }),
      behind: await authority.issue('behind', {
        alternativeNames: ['URI.1 = https://example.com/spiffe://example.org/bff'],
      }),
      longerName: await authority.issue('longer-name', { subject: '/CN=worker2' }),
      otherCase: await authority.issue('other-case', { subject: '/CN=Worker' }),
      both: await authority.issue('both', {
        subject: '/CN=worker',
        alternativeNames: ['URI.1 = spiffe://example.org/bff'],
      }),
    };
    clientCa = join(dir, 'client-ca.pem');
    await writeFile(clientCa, authority.certificate.cert);
    service = await startService({
      ASSET_AUTH: 'mtls',
      ASSET_TLS_CERT: server.certPath,
      ASSET_TLS_KEY: server.keyPath,
      ASSET_TLS_CLIENT_CA: clientCa,
      ASSET_MTLS_PRINCIPALS: JSON.stringify({
        'CN:worker': { id: 'worker', roles: ['asset:admin'] },
        'URI:spiffe://example.org/bff': { id: 'bff', roles: ['asset:admin', 'asset:act-for-user'] },
      }),
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
    });
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
  });

  const PROTOCOLS = ['gRPC', 'Connect', 'gRPC-Web'] as const;

  /** Calls over a connection of its own, with one of the certificates or none. */
  function call(
    name: string | undefined,
    options: CallOptions = {},
    protocol: (typeof PROTOCOLS)[number] = 'gRPC',
  ) {
    const certificate = name === undefined ? undefined : certificates[name];
    const nodeOptions = {
      ca: authority.certificate.cert,
      ...(certificate && { cert: certificate.cert, key: certificate.key }),
    };
    const baseUrl = service.url;
    const transport = {
      gRPC: () => createGrpcTransport({ baseUrl, nodeOptions }),
      Connect: () => createConnectTransport({ baseUrl, httpVersion: '1.1', nodeOptions }),
      'gRPC-Web': () => createGrpcWebTransport({ baseUrl, httpVersion: '1.1', nodeOptions }),
    }[protocol]();
    return createClient(AssetService, transport).listFiles({}, options);
  }

  /** Waits until the log has the last call as made by this caller: a line may come after the answer. */
  const expectLastCall = (by: Record<string, unknown>) =>
    eventually(
      () => expect(service.logLines().findLast(({ rpc }) => rpc === 'ListFiles')).toMatchObject(by),
      60_000,
    );

  it.each(PROTOCOLS)('say who calls, over %s', async (protocol) => {
    await call('worker', {}, protocol);
    await expectLastCall({ principal: 'worker' });
    await call('bff', {}, protocol);
    await expectLastCall({ principal: 'bff' });
    expect(await failureOf(call(undefined, {}, protocol))).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'CREDENTIALS_MISSING',
    });
  });

  it.each([
    ['of nobody that is known', 'unknown'],
    ['of another authority', 'forged'],
    ['that has expired', 'expired'],
    ['with two common names', 'twoNames'],
    ['with the URI of another as its common name', 'smuggled'],
    ['with the URI of another at the end of one of its own, as a list of names is written', 'quoted'],
    ['with the URI of another inside one of its own, as a list of names is written', 'between'],
    ['with a URI that begins with that of another', 'longer'],
    ['with a URI below that of another', 'below'],
    ['with a URI that ends with that of another', 'behind'],
    ['with a common name that begins with that of another', 'longerName'],
    ['with the common name of another in capitals', 'otherCase'],
    ['with the names of two services', 'both'],
  ])('%s are refused', async (_, name) => {
    expect(await failureOf(call(name))).toMatchObject({
      code: 'UNAUTHENTICATED',
      reason: 'CREDENTIALS_INVALID',
      metadata: { credential: 'certificate', problem: 'untrusted' },
    });
  });

  it('are not replaced by a token', async () => {
    const headers = { authorization: `Bearer ${await issuer.token({ scope: 'asset:admin' })}` };
    expect(await failureOf(call(undefined, { headers }))).toMatchObject({ reason: 'CREDENTIALS_MISSING' });
    expect(await failureOf(call('worker', { headers }))).toMatchObject({
      reason: 'CREDENTIALS_INVALID',
      metadata: { credential: 'authorization', problem: 'unexpected' },
    });
  });

  it('let a service with the role act for an end user, whose token is verified', async () => {
    const withUser = (token: string) => ({ headers: { 'asset-user-token': token } });
    const ann = await issuer.token({ sub: 'ann' });
    await call('bff', withUser(ann));
    await expectLastCall({ principal: 'bff', end_user: 'ann' });
    expect(await failureOf(call('worker', withUser(ann)))).toMatchObject({ reason: 'END_USER_NOT_ALLOWED' });
    expect(await failureOf(call('bff', withUser(await issuer.token({ aud: 'other' }))))).toMatchObject({
      reason: 'CREDENTIALS_INVALID',
      metadata: { credential: 'asset-user-token', problem: 'audience' },
    });
  });

  it('are not asked for by health', async () => {
    expect(await healthOf(service.url)).toBe('SERVING');
  });

  it('are checked against the current authorities, also when a session is resumed', async () => {
    const { cert, key } = certificates['worker']!;
    const options = { cert, key, ca: authority.certificate.cert, ALPNProtocols: ['http/1.1'] };
    const before = await handshake(service.port, options);
    const session = new Promise<Buffer>((resolve) => before.once('session', resolve));
    expect(await askOver(before)).toContain('200 OK');
    await replaceFile(clientCa, stranger.certificate.cert);
    await eventually(
      async () => expect((await failureOf(call('worker'))).reason).toBe('CREDENTIALS_INVALID'),
      60_000,
    );
    const resumed = await handshake(service.port, { ...options, session: await session });
    expect(await askOver(resumed)).toContain('401 Unauthorized');
    certificates = { ...certificates, worker: certificates['forged']! };
    await call('worker');
    await replaceFile(clientCa, authority.certificate.cert);
  });
});

/** Asks for a list over a connection and returns what comes back. */
function askOver(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (data) => (text += data.toString('latin1')));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
    socket.write(
      'POST /asset.v1.AssetService/ListFiles HTTP/1.1\r\nhost: x\r\nconnection: close\r\n' +
        'content-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    );
  });
}
