import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CallOptions } from '@connectrpc/connect';
import { AssetService, Disposition, WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { create } from '@bufbuild/protobuf';
import { FileSchema, type File } from '@asset-service/contract/asset/v1/file_pb.js';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  clientOf,
  download,
  randomContent,
  send,
  spec,
  upload,
  urlOf,
  type AssetClient,
} from '../e2e/support/calls.ts';
import { failureOf, type Failure } from '../e2e/support/failures.ts';
import { AUDIENCE, startIssuer, type Issuer } from '../support/issuer.ts';
import { eventually } from '../support/eventually.ts';
import { makeDir, removeDir } from '../support/process.ts';
import { startService, type Service } from '../support/service.ts';
import { existing } from '../support/watching.ts';

/** The callers. `alice` owns the files; the others have access only through roles. */
const CALLERS: Record<string, { readonly sub: string; readonly scope?: string; readonly endUser?: string }> =
  {
    alice: { sub: 'alice' },
    bob: { sub: 'bob' },
    'a service without a role': { sub: 'service' },
    'the role read': { sub: 'reader', scope: 'asset:read' },
    'the role write': { sub: 'writer', scope: 'asset:write' },
    'the role delete': { sub: 'deleter', scope: 'asset:delete' },
    'the role admin': { sub: 'admin', scope: 'asset:admin' },
    'the role act-for-user': { sub: 'front', scope: 'asset:act-for-user' },
    'an almighty service for alice': {
      sub: 'front',
      scope: 'asset:admin asset:act-for-user',
      endUser: 'alice',
    },
    'an almighty service for bob': { sub: 'front', scope: 'asset:admin asset:act-for-user', endUser: 'bob' },
  };
const NAMES = Object.keys(CALLERS);

const OWN = ['alice', 'an almighty service for alice'];
const ADMIN = 'the role admin';
const MAY = {
  read: [...OWN, 'the role read', ADMIN],
  update: [...OWN, 'the role write', ADMIN],
  delete: [...OWN, 'the role delete', ADMIN],
};
/** Callers that may be told that a file does not exist: those who may do the action with every file. */
const ALWAYS = {
  read: ['the role read', ADMIN],
  update: ['the role write', ADMIN],
  delete: ['the role delete', ADMIN],
};

type Target = 'live' | 'deleted' | 'missing';
const TARGETS: readonly Target[] = ['live', 'deleted', 'missing'];
const MISSING = 'nosuchfile00000';

describe('a file of alice, over every RPC', () => {
  let issuer: Issuer;
  let service: Service;
  let client: AssetClient;
  let dir: string;
  const content = randomContent(100);
  const options: Record<string, CallOptions & { headers: Record<string, string> }> = {};
  const tested = new Set<string>();
  /** Files that no call changes. */
  const shared: Partial<Record<Target, string>> = { missing: MISSING };

  const as = (name: string) => options[name]!;
  const source = (fileId: string) => ({ source: { case: 'fileId', value: fileId } as const });

  beforeAll(async () => {
    dir = await makeDir('idor');
    const policyFile = join(dir, 'policies.json');
    const policies = {
      usages: {
        open: { read: ['owner', 'authenticated'] },
        team: { read: ['owner', 'relation:team'] },
        sealed: { read: [], write: [] },
        drop: { write: ['owner', 'authenticated'] },
        saved: { disposition: 'attachment', urlLifetimeSeconds: { min: 60, max: 120 } },
      },
      default: {},
    };
    await writeFile(policyFile, JSON.stringify(policies));
    issuer = await startIssuer();
    service = await startService({
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: issuer.url,
      ASSET_OIDC_AUDIENCE: AUDIENCE,
      ASSET_POLICY_FILE: policyFile,
      ASSET_AUDIT_LOG: join(dir, 'audit.log'),
    });
    client = clientOf(service.url);
    const exp = Math.floor(Date.now() / 1000) + 3_600;
    for (const [name, { sub, scope, endUser }] of Object.entries(CALLERS)) {
      const headers: Record<string, string> = {
        authorization: `Bearer ${await issuer.token({ sub, scope, exp })}`,
      };
      if (endUser !== undefined) {
        headers['asset-user-token'] = await issuer.token({ sub: endUser, exp });
      }
      options[name] = { headers };
    }
    shared.live = await newFile('live');
    shared.deleted = await newFile('deleted');
  });

  afterAll(async () => {
    await service?.dispose();
    await issuer?.dispose();
    await removeDir(dir);
  });

  async function make(file: Parameters<typeof spec>[0] = {}): Promise<File> {
    return upload(client, content, { file: { owner: 'alice', name: 'secret.txt', ...file }, ...as(ADMIN) });
  }

  /** A file in the state of the target. */
  async function newFile(target: Target): Promise<string> {
    if (target === 'missing') return MISSING;
    const { id } = await make();
    if (target === 'deleted') await client.deleteFile({ fileId: id }, as(ADMIN));
    return id;
  }

  /** The outcome of a call: `seen` of its response, or the reason of its error. */
  async function outcome<T>(call: Promise<T>, seen: (answer: T) => string = () => 'ok'): Promise<string> {
    let failed = false;
    const said = await call.then(seen, () => ((failed = true), ''));
    return failed ? (await failureOf(call)).reason : said;
  }

  type Attempt = (fileId: string, name: string) => Promise<string>;

  /** Compares every caller and target with the expected outcome in one table. */
  async function matrix(
    rpc: string,
    changes: boolean,
    attempt: Attempt,
    expected: (name: string, target: Target) => string,
  ): Promise<void> {
    tested.add(rpc);
    const [found, wanted]: [Record<string, string>, Record<string, string>] = [{}, {}];
    for (const name of NAMES) {
      for (const target of TARGETS) {
        const fileId = changes ? await newFile(target) : shared[target]!;
        found[`${name}: ${target}`] = await attempt(fileId, name);
        wanted[`${name}: ${target}`] = expected(name, target);
      }
    }
    expect(found).toEqual(wanted);
  }

  /** The expected outcome per target for permitted callers; all others get one answer. */
  const told =
    (action: 'read' | 'update' | 'delete', { live = 'ok', deleted = 'ok' }) =>
    (name: string, target: Target) => {
      if (target === 'missing') return ALWAYS[action].includes(name) ? 'FILE_NOT_FOUND' : 'PERMISSION_DENIED';
      if (!MAY[action].includes(name)) return 'PERMISSION_DENIED';
      return target === 'live' ? live : deleted;
    };

  it('GetFile', () =>
    matrix(
      'getFile',
      false,
      (fileId, name) => outcome(client.getFile({ fileId }, as(name))),
      told('read', {}),
    ));

  it('WatchFiles', () =>
    matrix(
      'watchFiles',
      false,
      (fileId, name) =>
        outcome(
          existing(client, { start: { case: 'from', value: WatchStart.EXISTING } }, as(name)),
          (messages) =>
            messages.some(({ kind }) => kind.case === 'event' && kind.value.file!.id === fileId)
              ? 'ok'
              : 'nothing',
        ),
      (name, target) => (target === 'live' && MAY.read.includes(name) ? 'ok' : 'nothing'),
    ));

  it('PullEvents', () =>
    matrix(
      'pullEvents',
      false,
      (fileId, name) => {
        const subscription = `s${name.length}-${fileId}`;
        const pull = { subscription, from: WatchStart.EXISTING, maxEvents: 100 };
        return outcome(client.pullEvents(pull, as(name)), ({ deliveries }) =>
          deliveries.some(({ event }) => event!.file!.id === fileId) ? 'ok' : 'nothing',
        );
      },
      (name, target) => (target === 'live' && MAY.read.includes(name) ? 'ok' : 'nothing'),
    ));

  describe('a subscription of alice', () => {
    const subscription = 'of-alice';
    const CALLS: Record<string, (deliveryToken: string, name: string) => Promise<unknown>> = {
      ackEvent: (deliveryToken, name) => client.ackEvent({ subscription, deliveryToken }, as(name)),
      rejectEvent: (deliveryToken, name) => client.rejectEvent({ subscription, deliveryToken }, as(name)),
      extendEventLease: (deliveryToken, name) =>
        client.extendEventLease({ subscription, deliveryToken }, as(name)),
      listParkedEvents: (_token, name) => client.listParkedEvents({ subscription }, as(name)),
      replayParkedEvents: (_token, name) => client.replayParkedEvents({ subscription }, as(name)),
      deleteSubscription: (_token, name) => client.deleteSubscription({ subscription }, as(name)),
    };

    it('is invisible to everybody else', async () => {
      const pull = { subscription, from: WatchStart.EXISTING };
      const { deliveries } = await client.pullEvents(pull, as('alice'));
      const { deliveryToken } = deliveries[0]!;
      tested.add('listSubscriptions');
      for (const name of NAMES.filter((one) => one !== 'alice')) {
        const { subscriptions } = await client.listSubscriptions({}, as(name));
        expect(subscriptions.filter((one) => one.name === subscription)).toEqual([]);
        for (const [rpc, call] of Object.entries(CALLS)) {
          tested.add(rpc);
          expect({ name, rpc, ...(await failureOf(call(deliveryToken, name))) }).toMatchObject({
            ...{ name, rpc, reason: 'SUBSCRIPTION_NOT_FOUND', metadata: { subscription } },
          });
        }
      }
      await client.ackEvent({ subscription, deliveryToken }, as('alice'));
    });
  });

  it('GetFileUrl', () =>
    matrix(
      'getFileUrl',
      false,
      (fileId, name) => outcome(client.getFileUrl(source(fileId), as(name))),
      told('read', { deleted: 'FILE_DELETED' }),
    ));

  it('BatchGetFileUrls, with a result for each file', () =>
    matrix(
      'batchGetFileUrls',
      false,
      async (fileId, name) => {
        const requests = [source(fileId), source(MISSING), source(fileId)];
        const { results } = await client.batchGetFileUrls({ requests }, as(name));
        const reasons = results.map(({ result }) =>
          result.case === 'response' ? 'ok' : /ERROR_REASON_(\w+)/.exec(infoIn(result.value))![1]!,
        );
        expect(reasons[0]).toBe(reasons[2]);
        expect(reasons[1]).toBe(ALWAYS.read.includes(name) ? 'FILE_NOT_FOUND' : 'PERMISSION_DENIED');
        return reasons[0]!;
      },
      told('read', { deleted: 'FILE_DELETED' }),
    ));

  it('DownloadFile', () =>
    matrix(
      'downloadFile',
      false,
      (fileId, name) => {
        const all = async () => {
          for await (const _piece of client.downloadFile({ fileId }, as(name)));
        };
        return outcome(all());
      },
      told('read', { deleted: 'FILE_DELETED' }),
    ));

  it('BatchGetFiles, where an invisible file counts as missing', () =>
    matrix(
      'batchGetFiles',
      false,
      async (fileId, name) => {
        const { files, missingFileIds } = await client.batchGetFiles(
          { fileIds: [fileId, MISSING] },
          as(name),
        );
        expect(missingFileIds).toContain(MISSING);
        return files.length === 1 ? 'found' : missingFileIds.join();
      },
      (name, target) => {
        if (target !== 'missing' && MAY.read.includes(name)) return 'found';
        return `${shared[target]},${MISSING}`;
      },
    ));

  it('ListFiles', () =>
    matrix(
      'listFiles',
      false,
      async (fileId, name) => {
        const seen: string[] = [];
        let pageToken = '';
        do {
          const page = await client.listFiles({ showDeleted: true, pageSize: 100, pageToken }, as(name));
          seen.push(...page.files.map(({ id }) => id));
          pageToken = page.nextPageToken;
        } while (pageToken !== '');
        return seen.includes(fileId) ? 'listed' : 'not listed';
      },
      (name, target) => (target !== 'missing' && MAY.read.includes(name) ? 'listed' : 'not listed'),
    ));

  it('UpdateMetadata', () =>
    matrix(
      'updateMetadata',
      true,
      (id, name) =>
        outcome(
          client.updateMetadata({ file: { id, name: 'new.txt' }, updateMask: { paths: ['name'] } }, as(name)),
        ),
      told('update', { deleted: 'FILE_DELETED' }),
    ));

  it('DeleteFile', () =>
    matrix(
      'deleteFile',
      true,
      (fileId, name) => outcome(client.deleteFile({ fileId }, as(name))),
      told('delete', { deleted: 'FILE_DELETED' }),
    ));

  it('UndeleteFile', () =>
    matrix(
      'undeleteFile',
      true,
      (fileId, name) => outcome(client.undeleteFile({ fileId }, as(name))),
      told('delete', { live: 'FILE_NOT_DELETED' }),
    ));

  it.each(NAMES)('Upload and StartUpload by %s', async (name) => {
    tested.add('upload').add('startUpload');
    const byRole = MAY.update.includes(name) && !OWN.includes(name);
    const { sub, endUser = sub } = CALLERS[name]!;
    for (const owner of ['alice', 'somebody', '']) {
      const isOwn = owner === endUser || owner === '';
      const wanted = byRole ? owner : isOwn ? endUser : 'PERMISSION_DENIED';
      const sent = upload(client, content, { file: { owner }, ...as(name) });
      expect({ owner, got: await outcome(sent, (file) => file.owner) }).toEqual({ owner, got: wanted });
      const started = client.startUpload({ uploadSpec: { file: { owner } } }, as(name));
      expect(await outcome(started)).toBe(wanted === 'PERMISSION_DENIED' ? wanted : 'ok');
    }
    const sealed = upload(client, content, { file: { usage: 'sealed' }, ...as(name) });
    expect(await outcome(sealed)).toBe(byRole ? 'ok' : 'PERMISSION_DENIED');
  });

  describe('an upload that alice began', () => {
    const CALLS: Record<string, (uploadId: string, name: string) => Promise<unknown>> = {
      upload: (uploadId, name) =>
        client.upload(
          messages({ firstMessage: { case: 'uploadId', value: uploadId }, finishWrite: true }),
          as(name),
        ),
      uploadChunk: (uploadId, name) => client.uploadChunk({ uploadId, data: { content } }, as(name)),
      getUpload: (uploadId, name) => client.getUpload({ uploadId }, as(name)),
      signUploadParts: (uploadId, name) => client.signUploadParts({ uploadId, partNumbers: [1] }, as(name)),
      completeUpload: (uploadId, name) => client.completeUpload({ uploadId }, as(name)),
      cancelUpload: (uploadId, name) => client.cancelUpload({ uploadId }, as(name)),
    };

    it.each(Object.entries(CALLS))('%s, of nobody else', async (rpc, call) => {
      tested.add(rpc);
      for (const starter of OWN) {
        const { uploadId } = await client.startUpload({ uploadSpec: { file: {} } }, as(starter));
        for (const name of NAMES.filter((one) => one !== starter)) {
          const foreign = await failureOf(call(uploadId, name));
          const missing = await failureOf(call(MISSING, name));
          expect({ ...foreign, metadata: {} }).toEqual({ ...missing, metadata: {} });
          expect({ name, reason: foreign.reason }).toEqual({ name, reason: 'UPLOAD_NOT_FOUND' });
          expect(foreign.metadata).toEqual({ upload_id: uploadId });
        }
        expect(await client.getUpload({ uploadId }, as(starter))).toMatchObject({
          writeStatus: { case: 'persistedSize', value: 0n },
        });
      }
    });

    it('when finished, is visible to its starter and to all who may read the file', async () => {
      for (const starter of [...OWN, 'the role write']) {
        const file = { owner: 'alice', usage: 'sealed' };
        const { uploadId } = await client.startUpload(
          { uploadSpec: { file: starter === 'the role write' ? file : { owner: 'alice' } } },
          as(starter),
        );
        await client.uploadChunk({ uploadId, data: { content }, finishWrite: true }, as(starter));
        const readers = starter === 'the role write' ? ALWAYS.read : MAY.read;
        for (const name of NAMES) {
          const isShown = name === starter || readers.includes(name);
          for (const rpc of ['getUpload', 'completeUpload', 'uploadChunk']) {
            const got = await outcome(CALLS[rpc]!(uploadId, name));
            expect({ starter, rpc, name, got }).toEqual({
              starter,
              rpc,
              name,
              got: isShown ? 'ok' : 'UPLOAD_NOT_FOUND',
            });
          }
        }
      }
    });
  });

  describe('and given away', () => {
    const large = randomContent(300 * 1024);

    /** What each way to repeat an upload tells its caller about the file. */
    async function repeats(uploadId: string, requestId: string, name: string) {
      const again = { file: { owner: 'alice', name: 'mine' }, requestId };
      const end = { firstMessage: { case: 'uploadId' as const, value: uploadId }, finishWrite: true };
      const { uploadId: started } = await client.startUpload({ uploadSpec: again }, as(name));
      expect(started).toBe(uploadId);
      return {
        get: (await client.getUpload({ uploadId }, as(name))).writeStatus.value,
        chunk: (await client.uploadChunk({ uploadId, data: { content } }, as(name))).writeStatus.value,
        complete: (await client.completeUpload({ uploadId }, as(name))).file,
        append: (await client.upload(messages(end), as(name))).writeStatus.value,
        repeat: await upload(client, content, { ...again, ...as(name) }),
        large: await upload(client, large, { ...again, requestId: `${requestId}-large`, ...as(name) }),
      } as Record<string, File>;
    }

    it.each([
      ['alice', true],
      ['an almighty service for alice', true],
      ['the role write', false],
    ])('is not shown any more to %s, who uploaded it', async (name, isReader) => {
      const requestId = `given-${NAMES.indexOf(name)}`;
      const uploadSpec = { file: { owner: 'alice', name: 'mine' }, requestId };
      const { uploadId } = await client.startUpload({ uploadSpec }, as(name));
      const first = await client.uploadChunk({ uploadId, data: { content }, finishWrite: true }, as(name));
      expect(first.writeStatus.value).toMatchObject({ id: uploadId, name: 'mine', owner: 'alice' });
      const second = await upload(client, large, {
        ...{ ...uploadSpec, requestId: `${requestId}-large` },
        ...as(name),
      });
      expect(second.name).toBe('mine');
      for (const file of Object.values(await repeats(uploadId, requestId, name))) {
        expect([file.name, file.owner]).toEqual(isReader ? ['mine', 'alice'] : ['', '']);
      }

      for (const id of [uploadId, second.id]) {
        await client.updateMetadata(
          {
            file: { id, owner: 'bob', usage: 'sealed', name: 'theirs' },
            updateMask: { paths: ['owner', 'usage', 'name'] },
          },
          as(ADMIN),
        );
      }
      for (const [way, file] of Object.entries(await repeats(uploadId, requestId, name))) {
        const { $typeName: _type, ...told } = file;
        const id = way === 'large' ? second.id : uploadId;
        expect({ way, told }).toEqual({ way, told: toPlain(id) });
      }
      await eventually(async () => {
        const lines = (await readFile(join(dir, 'audit.log'), 'utf8')).split('\n');
        const denied = lines.filter((line) => line.includes(uploadId) && /"read".*"nobody"/.test(line));
        expect(denied.length).toBeGreaterThanOrEqual(5);
      });
    });
  });

  it('gets exactly the same answer whether it exists, is deleted or never existed', async () => {
    const calls: ((fileId: string, name: string) => Promise<unknown>)[] = [
      (fileId, name) => client.getFile({ fileId }, as(name)),
      (fileId, name) => client.getFileUrl(source(fileId), as(name)),
      (fileId, name) => client.getFileUrl({ ...source(fileId), disposition: Disposition.INLINE }, as(name)),
      (fileId, name) => download(client, fileId, { readOffset: 10_000n }, as(name)),
      (id, name) =>
        client.updateMetadata({ file: { id, etag: 'x' }, updateMask: { paths: ['nothing'] } }, as(name)),
      (fileId, name) => client.deleteFile({ fileId, etag: 'x' }, as(name)),
      (fileId, name) => client.undeleteFile({ fileId, etag: 'x' }, as(name)),
    ];
    for (const call of calls) {
      for (const name of ['bob', 'a service without a role', 'an almighty service for bob']) {
        const answers: Failure[] = [];
        for (const target of TARGETS) answers.push(await failureOf(call(shared[target]!, name)));
        expect(answers[0]).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED' });
        expect(answers[1]).toEqual(answers[0]);
        expect(answers[2]).toEqual(answers[0]);
      }
    }
  });

  it('cannot be taken over by a change of its record', async () => {
    const { id } = await make({ usage: 'drop' });
    const change = (file: Parameters<typeof spec>[0], path: string, name: string) =>
      outcome(client.updateMetadata({ file: { ...file, id }, updateMask: { paths: [path] } }, as(name)));
    expect(await change({ name: 'renamed' }, 'name', 'bob')).toBe('ok');
    expect(await change({ owner: 'bob' }, 'owner', 'bob')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'open' }, 'usage', 'bob')).toBe('PERMISSION_DENIED');
    expect(await outcome(client.getFile({ fileId: id }, as('bob')))).toBe('PERMISSION_DENIED');
    expect(await change({ owner: 'bob' }, 'owner', 'alice')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'sealed' }, 'usage', 'alice')).toBe('PERMISSION_DENIED');
    expect(await change({ usage: 'open' }, 'usage', 'alice')).toBe('ok');
    expect(await outcome(client.getFile({ fileId: id }, as('bob')))).toBe('ok');
    expect(await change({ owner: 'bob' }, 'owner', 'the role write')).toBe('ok');
  });

  it('is open to those whom its usage policy names', async () => {
    const open = await make({ usage: 'open' });
    const team = await make({ usage: 'team', relations: { team: { ids: ['x', 'bob'] } } });
    const sealed = await make({ usage: 'sealed' });
    const get = (name: string, file: File) => outcome(client.getFile({ fileId: file.id }, as(name)));
    expect(await get('bob', open)).toBe('ok');
    expect(await get('bob', team)).toBe('ok');
    expect(await get('an almighty service for bob', team)).toBe('ok');
    expect(await get('a service without a role', team)).toBe('PERMISSION_DENIED');
    expect(await get('alice', sealed)).toBe('PERMISSION_DENIED');
    expect(await get('the role read', sealed)).toBe('ok');
    const { files } = await client.listFiles({ pageSize: 1000 }, as('bob'));
    const listed = files.map(({ id }) => id);
    expect(listed).toEqual(expect.arrayContaining([open.id, team.id]));
    expect(listed).not.toContain(sealed.id);
  });

  it('is not reached by a service account with the name of its owner, which has what its roles say', async () => {
    const exp = Math.floor(Date.now() / 1000) + 3_600;
    const account = async (scope: string) => {
      const token = await issuer.token({ sub: 'alice', azp: 'alice', scope, exp });
      return { headers: { authorization: `Bearer ${token}` } };
    };
    for (const scope of ['', 'asset:delete', 'asset:read']) {
      const by = await account(scope);
      const read = scope === 'asset:read' ? 'ok' : 'PERMISSION_DENIED';
      expect(await outcome(client.getFile({ fileId: shared.live! }, by))).toBe(read);
      for (const owner of ['', 'alice']) {
        const sent = upload(client, content, { file: { owner }, ...by });
        expect(await outcome(sent)).toBe('PERMISSION_DENIED');
        const dropped = upload(client, content, { file: { owner, usage: 'drop' }, ...by });
        expect(await outcome(dropped)).toBe('PERMISSION_DENIED');
        const started = client.startUpload({ uploadSpec: { file: { owner } } }, by);
        expect(await outcome(started)).toBe('PERMISSION_DENIED');
      }
      const update = client.updateMetadata({ file: { id: shared.live!, name: 'x' } }, by);
      expect(await outcome(update)).toBe('PERMISSION_DENIED');
      if (scope !== 'asset:read') expect((await client.listFiles({}, by)).files).toEqual([]);
    }
    const own = await upload(client, content, { file: {}, ...(await account('asset:write')) });
    expect(own.owner).toBe('');
  });

  it('gets only attachment URLs, with the lifetime that its usage permits', async () => {
    const { id } = await make({ usage: 'saved' });
    const inline = client.getFileUrl({ ...source(id), disposition: Disposition.INLINE }, as('alice'));
    expect(await failureOf(inline)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      reason: 'DISPOSITION_NOT_ALLOWED',
    });
    for (const [asked, most] of [
      [1n, 60],
      [7_200n, 120],
      [undefined, 120],
    ] as const) {
      const before = Date.now() / 1000;
      const ttl = asked === undefined ? {} : { ttl: { seconds: asked } };
      const { expireTime } = await client.getFileUrl({ ...source(id), ...ttl }, as('alice'));
      const left = Number(expireTime!.seconds) - before;
      expect(left).toBeLessThanOrEqual(most);
      expect(left).toBeGreaterThan(most / 2 - 30);
    }
  });

  it('is read by its URL without any identity', async () => {
    const url = await urlOf(client, shared.live!, {}, as('alice'));
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(content)).toBe(true);
  });

  it('is not reached by a page token of somebody who sees it', async () => {
    const { nextPageToken } = await client.listFiles({ pageSize: 1 }, as(ADMIN));
    const { files } = await client.listFiles({ pageSize: 100, pageToken: nextPageToken }, as('bob'));
    expect(files.filter(({ owner, usage }) => owner !== 'bob' && usage === '')).toEqual([]);
  });

  it('is not shown by a request id of somebody else', async () => {
    const mine = await send(client, [{ ...spec({}, { requestId: 'same' }), finishWrite: true }], as('alice'));
    const other = await send(client, [{ ...spec({}, { requestId: 'same' }), finishWrite: true }], as('bob'));
    expect(other.id).not.toBe(mine.id);
  });

  it('is tried by every RPC of the contract', () => {
    expect([...tested].sort()).toEqual(Object.keys(AssetService.method).sort());
  });
});

/** The reason in the status of a batch item, whose details are packed. */
function infoIn(status: { readonly details: readonly { readonly value: Uint8Array }[] } | undefined): string {
  return Buffer.concat(status?.details.map(({ value }) => value) ?? []).toString('latin1');
}

/** A file of which only the id is told. */
function toPlain(id: string) {
  const { $typeName: _type, ...plain } = create(FileSchema, { id });
  return plain;
}

async function* messages<T>(...all: T[]): AsyncGenerator<T> {
  yield* all;
}
