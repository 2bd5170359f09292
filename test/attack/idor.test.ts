import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AssetService, Disposition, WatchStart } from '@asset-service/contract/asset/v1/asset_service_pb.js';
import { download, upload, type AssetClient } from '../e2e/support/calls.ts';
import { failureOf, type Failure } from '../e2e/support/failures.ts';
import { existing } from '../support/watching.ts';
import {
  ALWAYS,
  CALLERS,
  content,
  MAY,
  messages,
  MISSING,
  NAMES,
  outcome,
  OWN,
  source,
  startAlicesFiles,
  TARGETS,
  type AlicesFiles,
  type Target,
} from './support/alices-files.ts';

describe('a file of alice, over every RPC', () => {
  let world: AlicesFiles;
  let client: AssetClient;
  let shared: AlicesFiles['shared'];
  const tested = new Set<string>();
  const as = (name: string) => world.as(name);

  beforeAll(async () => {
    world = await startAlicesFiles();
    ({ client, shared } = world);
  });

  afterAll(() => world?.dispose());

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
        const fileId = changes ? await world.newFile(target) : shared[target];
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
        for (const target of TARGETS) answers.push(await failureOf(call(shared[target], name)));
        expect(answers[0]).toMatchObject({ code: 'PERMISSION_DENIED', reason: 'PERMISSION_DENIED' });
        expect(answers[1]).toEqual(answers[0]);
        expect(answers[2]).toEqual(answers[0]);
      }
    }
  });

  it('is tried by every RPC of the contract', () => {
    expect([...tested].sort()).toEqual(Object.keys(AssetService.method).sort());
  });
});

/** The reason in the status of a batch item, whose details are packed. */
function infoIn(status: { readonly details: readonly { readonly value: Uint8Array }[] } | undefined): string {
  return Buffer.concat(status?.details.map(({ value }) => value) ?? []).toString('latin1');
}
