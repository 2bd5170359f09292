import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, NewFileRecord } from '../../../src/catalog/file-catalog.ts';
import { createFile, newFile, newId, outcomes, type CatalogSubject } from './subject.ts';
import { hour, sessionsOf } from './upload-sessions.ts';

/** Sessions of uploads that become a file: one create at one revision. */
export function committedUploadTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const { forget, open, taken, uploads, withReplicas } = sessionsOf(catalog, subject);

  describe('sessions that become a file', () => {
    it('are gone with it', async () => {
      const { id } = await open({ expireTime: new Date(2_000) });
      await uploads().update(id, 1, { state: 2, expireTime: new Date(2_000) });
      const result = await catalog().create(newFile({ id }), { upload: { revision: 2 } });
      expect(result).toMatchObject({ status: 'created', record: { id } });
      expect((await catalog().get([id])).size).toBe(1);
      expect(await uploads().get(id)).toBeUndefined();
      expect(await uploads().update(id, 2, { state: 3, expireTime: hour() })).toBeUndefined();
      expect(await uploads().close(id, 2, new Date(0))).toBe(false);
      expect(await taken([id])).toEqual([]);
    });

    it.each(['at an earlier revision', 'at a later one', 'closed', 'expired and taken', 'never opened'])(
      'are refused as expired, with nothing written: %s',
      async (how) => {
        const file = newFile({ id: newId() });
        const expireTime = how === 'expired and taken' ? new Date(2_000) : hour();
        if (how !== 'never opened') await open({ id: file.id, expireTime });
        if (how === 'at an earlier revision') await uploads().update(file.id, 1, { state: 2, expireTime });
        if (how === 'closed') await uploads().close(file.id, 1, hour());
        if (how === 'expired and taken') await taken([file.id]);
        const before = await uploads().get(file.id);
        const requestKey = newId();
        const fence = { upload: { revision: how === 'at a later one' ? 2 : 1 } };
        await expect(catalog().create(file, { ...fence, requestKey })).rejects.toMatchObject({
          reason: 'UPLOAD_EXPIRED',
        });
        expect((await catalog().get([file.id])).size).toBe(0);
        expect(await catalog().findByRequestKey(requestKey)).toBeUndefined();
        expect(await uploads().get(file.id)).toEqual(before);
        await forget(file.id);
      },
    );

    it('become one file: a second create finds no session, with any request key', async () => {
      await withReplicas(async (replicas) => {
        const { id } = await open();
        const options = { upload: { revision: 1 }, requestKey: newId() };
        const results = await outcomes(replicas.map((one) => one.create(newFile({ id }), options)));
        expect(results.sort()).toEqual(['UPLOAD_EXPIRED', 'ok']);
        const [last] = await outcomes([catalog().create(newFile({ id }), options)]);
        expect(last).toBe('UPLOAD_EXPIRED');
        expect((await catalog().findByRequestKey(options.requestKey))?.id).toBe(id);
      });
    });

    it('stay open where the request key is taken', async () => {
      const requestKey = newId();
      const earlier = await createFile(catalog(), {}, requestKey);
      const session = await open({ requestKey });
      const options = { upload: { revision: 1 }, requestKey };
      const result = await catalog().create(newFile({ id: session.id }), options);
      expect(result).toEqual({ status: 'request-taken' });
      expect(await uploads().get(session.id)).toEqual(session);
      expect((await catalog().get([session.id])).size).toBe(0);
      expect((await catalog().findByRequestKey(requestKey))?.id).toBe(earlier.id);
      expect(await uploads().close(session.id, 1, hour())).toBe(true);
    });

    it('stay open where the description is refused', async () => {
      const session = await open();
      const { id } = session;
      const refused: [string, Partial<NewFileRecord>][] = [['CATALOG_REFUSED', { name: 'a\0b' }]];
      if (subject().exceptions.hasNoSchema === undefined) {
        refused.push(
          ['RELATION_TARGET_MISSING', { relations: { project: ['missing00000000'] } }],
          ['RELATION_UNKNOWN', { relations: { nothing: ['x'] } }],
          ['ATTRIBUTE_INVALID', { attributes: { nothing: 1 } }],
        );
      }
      for (const [reason, fields] of refused) {
        const creating = catalog().create(newFile({ id, ...fields }), { upload: { revision: 1 } });
        await expect(creating).rejects.toMatchObject({ reason });
        expect(await uploads().get(id)).toEqual(session);
        expect((await catalog().get([id])).size).toBe(0);
      }
      const result = await catalog().create(newFile({ id }), { upload: { revision: 1 } });
      expect(result.status).toBe('created');
    });

    it.each(['close', 'update', 'takeClosed'] as const)('never do both: create against %s', async (rival) => {
      await withReplicas(async (replicas) => {
        for (let round = 0; round < 8; round++) {
          const { id } = await open({ expireTime: new Date(2_000) });
          const other = replicas[1]!.uploads;
          const change = { state: round, expireTime: new Date(2_000) };
          const [created, changed] = await Promise.all([
            outcomes([replicas[0]!.create(newFile({ id }), { upload: { revision: 1 } })]),
            rival === 'close'
              ? other.close(id, 1, new Date(0))
              : rival === 'update'
                ? other.update(id, 1, change).then((session) => session !== undefined)
                : other.takeClosed(new Date(), 1_000).then((all) => all.some((one) => one.id === id)),
          ]);
          expect(created).toEqual([changed ? 'UPLOAD_EXPIRED' : 'ok']);
          expect((await catalog().get([id])).size).toBe(changed ? 0 : 1);
          expect((await taken([id])).length).toBe(changed ? 1 : 0);
          await forget(id);
        }
      });
    });
  });
}
