import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, JsonValue } from '../../../src/catalog/file-catalog.ts';
import { newFile, newId, type CatalogSubject } from './subject.ts';
import { hour, sessionsOf } from './upload-sessions.ts';

/** Open sessions of uploads: any replica goes on with one, and only one replica at a time. */
export function uploadTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  const { forget, open, taken, uploads, withReplicas } = sessionsOf(catalog, subject);

  describe('sessions of uploads', () => {
    it('are opened at revision 1, and found by every replica', async () => {
      const session = { id: newId(), state: { parts: [1, 2], name: 'ü' }, expireTime: hour() };
      const result = await uploads().open(session);
      expect(result).toEqual({ status: 'opened', session: { ...session, revision: 1 } });
      await withReplicas(async ([other]) => {
        expect(await other!.uploads.get(session.id)).toEqual(result.session);
      });
      expect(await uploads().get(newId())).toBeUndefined();
      expect(await uploads().get('')).toBeUndefined();
      expect(await uploads().get('a"b\0c')).toBeUndefined();
    });

    it('are found by their request key while they are open', async () => {
      const requestKey = newId();
      const session = await open({ requestKey });
      expect(await uploads().find(requestKey)).toEqual(session);
      expect(await uploads().find(newId())).toBeUndefined();
      await uploads().close(session.id, session.revision, hour());
      expect(await uploads().find(requestKey)).toBeUndefined();
    });

    it('claim room for their owner and count for their caller, until they are a file or closed', async () => {
      const [owner, caller, usage] = [`owner "${newId()}"`, newId(), `usage ${newId()}`];
      const claim = (fields: object) => ({ claim: { caller, owner, usage, sizeBytes: 2 ** 40, ...fields } });
      const [first, second, third] = [
        await open(claim({})),
        await open(claim({ sizeBytes: 5 })),
        await open(claim({ usage: '' })),
      ];
      // One without a claim, one of another owner and one of nobody.
      await open();
      await open(claim({ owner: `${owner} too` }));
      await open(claim({ owner: '' }));
      const claims = async () =>
        (await uploads().claimsOf(owner)).toSorted((one, other) => one.usage.localeCompare(other.usage));
      expect(await claims()).toEqual([
        { usage: '', files: 1, bytes: 2 ** 40 },
        { usage, files: 2, bytes: 2 ** 40 + 5 },
      ]);
      expect(await uploads().countOf(caller, 1_000)).toBe(5);
      expect(await uploads().countOf(caller, 3)).toBe(3);
      expect(await uploads().countOf(newId(), 10)).toBe(0);

      // A change moves the bytes where it names them, and keeps everything else.
      const change = { state: 2, expireTime: hour() };
      await uploads().update(second.id, second.revision, change);
      expect((await claims())[1]).toMatchObject({ bytes: 2 ** 40 + 5 });
      const moved = await uploads().update(second.id, second.revision + 1, { ...change, sizeBytes: 70 });
      expect((await claims())[1]).toMatchObject({ files: 2, bytes: 2 ** 40 + 70 });

      await uploads().close(first.id, first.revision, hour());
      await catalog().create(newFile({ id: second.id }), { upload: { revision: moved!.revision } });
      expect(await claims()).toEqual([{ usage: '', files: 1, bytes: 2 ** 40 }]);
      expect(await uploads().countOf(caller, 1_000)).toBe(3);
      await uploads().close(third.id, third.revision, hour());
      expect(await uploads().claimsOf(owner)).toEqual([]);
      expect(await uploads().claimsOf('a"b\0c')).toEqual([]);
    });

    it('are refused an id that an open one has, and leave that as it is', async () => {
      const first = await open();
      for (const requestKey of [undefined, newId()]) {
        const again = { id: first.id, state: 2, expireTime: hour(), ...(requestKey && { requestKey }) };
        await expect(uploads().open(again)).rejects.toMatchObject({
          reason: 'CATALOG_REFUSED',
          metadata: { field: 'id' },
        });
      }
      expect(await uploads().get(first.id)).toEqual(first);
    });

    const states: Record<string, JsonValue> = {
      null: null,
      'a number': 1.5,
      false: false,
      'an empty text': '',
      'a text that looks like JSON': '{"a":1}',
      'a text with a NUL': 'a\0b',
      'a list': [1, 'two', null, [], {}],
      'an object whose order tells': { z: 1, a: { 10: 1, 9: 2 }, '': null, __proto__x: '<&>\u2028' },
    };
    it.each(Object.entries(states))('remember %s to the letter', async (_, state) => {
      const { id } = await open({ state });
      expect(JSON.stringify((await uploads().get(id))?.state)).toBe(JSON.stringify(state));
      const change = { state: [state], expireTime: hour() };
      expect(await uploads().update(id, 1, change)).toEqual({ id, revision: 2, ...change });
      expect(JSON.stringify((await uploads().get(id))?.state)).toBe(JSON.stringify([state]));
    });

    it.each([500 * 1024, 2 ** 20])('remember %i bytes', async (size) => {
      const escaped = '"\\\n'.repeat(size / 12);
      const state = { escaped, text: 'x'.repeat(size - 2 * escaped.length - 25) };
      expect(Buffer.byteLength(JSON.stringify(state))).toBeLessThanOrEqual(size);
      const { id } = await open({ state });
      expect((await uploads().get(id))?.state).toEqual(state);
      const updated = await uploads().update(id, 1, { state, expireTime: new Date(1_000) });
      expect(updated?.state).toEqual(state);
      expect((await taken([id]))[0]?.state).toEqual(state);
      await forget(id);
    });

    it('take a change of the revision that they have, and none of another', async () => {
      const { id } = await open();
      const change = { state: { step: 2 }, expireTime: new Date(Date.now() + 7_200_000) };
      expect(await uploads().update(id, 1, change)).toEqual({ id, revision: 2, ...change });
      expect(await uploads().get(id)).toEqual({ id, revision: 2, ...change });
      for (const revision of [0, 1, 3]) {
        expect(await uploads().update(id, revision, { state: 'lost', expireTime: hour() })).toBeUndefined();
        expect(await uploads().close(id, revision, new Date(0))).toBe(false);
      }
      expect(await uploads().get(id)).toEqual({ id, revision: 2, ...change });
      expect(await uploads().update(newId(), 1, change)).toBeUndefined();
      expect(await uploads().close(newId(), 1, new Date(0))).toBe(false);
    });

    it('have one winner among twenty changes of a revision', async () => {
      await withReplicas(async (replicas) => {
        const { id } = await open();
        for (let revision = 1; revision <= 4; revision++) {
          const results = await Promise.all(
            Array.from({ length: 20 }, (_, i) =>
              replicas[i % 2]!.uploads.update(id, revision, { state: `writer ${i}`, expireTime: hour() }),
            ),
          );
          const winners = results.filter((result) => result !== undefined);
          expect(winners).toHaveLength(1);
          expect(winners[0]?.revision).toBe(revision + 1);
          expect(await uploads().get(id)).toEqual(winners[0]);
        }
      });
    });

    it('are closed once, and take no change then', async () => {
      const { id } = await open();
      const closed = await Promise.all(Array.from({ length: 5 }, () => uploads().close(id, 1, new Date(0))));
      expect(closed.filter(Boolean)).toHaveLength(1);
      expect(await uploads().get(id)).toBeUndefined();
      for (const revision of [0, 1, 2]) {
        expect(await uploads().update(id, revision, { state: 1, expireTime: hour() })).toBeUndefined();
        expect(await uploads().close(id, revision, hour())).toBe(false);
      }
      await forget(id);
    });
  });

  describe('request keys of sessions', () => {
    it('let one of ten concurrent opens through, and show it to the others', async () => {
      await withReplicas(async (replicas) => {
        const requestKey = `Key_-${newId()}`;
        const results = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            replicas[i % 2]!.uploads.open({ id: newId(), state: i, expireTime: hour(), requestKey }),
          ),
        );
        const opened = results.filter((result) => result.status === 'opened');
        expect(opened).toHaveLength(1);
        for (const { session } of results) expect(session).toEqual(opened[0]!.session);
      });
    });

    it('stay with a session through its changes, and differ by every character', async () => {
      const requestKey = newId();
      const { id } = await open({ requestKey: `${requestKey}a` });
      await open({ requestKey: `${requestKey}A` });
      const session = await uploads().update(id, 1, { state: 2, expireTime: hour() });
      const again = { id: newId(), state: 3, expireTime: hour(), requestKey: `${requestKey}a` };
      expect(await uploads().open(again)).toEqual({ status: 'request-taken', session });
      expect(await uploads().get(again.id)).toBeUndefined();
    });

    it.each(['closed', 'expired and taken', 'a file'])(
      'are free again once the session is %s',
      async (how) => {
        const requestKey = newId();
        const { id } = await open({ requestKey, expireTime: how === 'closed' ? hour() : new Date(2_000) });
        if (how === 'closed') await uploads().close(id, 1, hour());
        else if (how === 'a file')
          await catalog().create(newFile({ id }), { upload: { revision: 1 }, requestKey });
        else expect(await taken([id])).toHaveLength(1);
        const next = await open({ requestKey });
        expect(next.id).not.toBe(id);
        await forget(id);
      },
    );

    it('are given to an open or to a later one while sessions are closed all the time', async () => {
      const requestKey = newId();
      const ids = new Set<string>();
      const work = async () => {
        for (let i = 0; i < 5; i++) {
          const { session } = await uploads().open({ id: newId(), state: 0, expireTime: hour(), requestKey });
          if (await uploads().close(session.id, session.revision, hour())) ids.add(session.id);
        }
      };
      await Promise.all([work(), work(), work()]);
      expect(ids.size).toBeGreaterThan(0);
    });
  });
}
