import { describe, expect, it } from '@jest/globals';
import type { FileCatalog, JsonValue } from '../../../src/catalog/file-catalog.ts';
import { createFile, getFile, newFile, newId, plain, reserve, type CatalogSubject } from './subject.ts';

/** Texts that careless quoting, normalising or trimming breaks. */
const HOSTILE: Record<string, string> = {
  unicode: 'Übergrößenträger – 文件 – ไฟล์.pdf',
  decomposed: 'e\u0301 is not é',
  'right to left': '\u202eקובץ ملف\u202c.exe',
  emoji: '👩‍👩‍👧‍👦🏳️‍🌈.png',
  path: '../../etc/passwd',
  backslash: '..\\..\\windows\\%00',
  quotes: `"it's" \`quoted\` '; drop table files; --`,
  'SQL wildcards': '100%_done',
  placeholders: '{:name} $1 ? :x @y',
  'template and markup': '<script>alert(1)</script>{{x}}${y}',
  spaces: '  leading and trailing  ',
  controls: 'a\u0001b\tc\r\nd\u001b[31me\u007f\u0085\u2028',
  '1 KiB': 'ä'.repeat(512),
  'looks like JSON': '{"a":[1,null]}',
  'looks like a number': '0123',
  'looks like null': 'null',
};

/** Every field, and how it reads back. */
export function recordTests(catalog: () => FileCatalog, subject: () => CatalogSubject): void {
  describe('records', () => {
    it('reads back every field as it was created', async () => {
      const { project, tags } = subject().targets;
      const file = newFile({
        contentType: 'Text/Plain; charset="utf-8"',
        sizeBytes: 5 * 2 ** 40,
        relations: { project: [project[0]!], tags: [tags[2]!, tags[0]!, tags[1]!] },
        attributes: { note: 'hello', count: 3, public: true },
      });
      const before = Date.now();
      const { id: reservationId } = await reserve(catalog(), [file.id]);
      const result = await catalog().create(file, { reservationId, requestKey: newId() });
      if (result.status !== 'created') throw new Error('the request key is taken');
      const { record } = result;
      expect(record).toMatchObject({
        id: file.id,
        name: 'report.pdf',
        contentType: 'Text/Plain; charset="utf-8"',
        sizeBytes: 5 * 2 ** 40,
        crc32c: 123_456,
        owner: 'owner-1',
        usage: 'invoice',
        relations: file.relations,
        createdBy: 'worker',
        deleteTime: undefined,
        purgeTime: undefined,
      });
      expect(record.attributes).toMatchObject({ note: 'hello', count: 3, public: true });
      expect(Buffer.from(record.sha256!).toString('hex')).toBe('07'.repeat(32));
      expect(Math.abs(record.createTime.getTime() - before)).toBeLessThan(10_000);
      expect(record.updateTime.getTime()).toBeGreaterThanOrEqual(record.createTime.getTime());
      expect(record.revision).toMatch(/^[A-Za-z0-9_-]{1,100}$/);
      expect(plain(await getFile(catalog(), file.id))).toEqual(plain(record));
    });

    it('distinguishes empty from unknown', async () => {
      const empty = { name: '', owner: '', usage: '', createdBy: '', sizeBytes: 0 };
      const known = await createFile(catalog(), { ...empty, crc32c: 0 });
      expect(await getFile(catalog(), known.id)).toMatchObject({ ...empty, crc32c: 0, relations: {} });
      const unknown = await createFile(catalog(), { ...empty, sha256: undefined, crc32c: undefined });
      expect(await getFile(catalog(), unknown.id)).toMatchObject({ sha256: undefined, crc32c: undefined });
    });

    it('keeps as many targets as a record may have, in order', async () => {
      const { project, tags } = subject().targets;
      // A PocketBase collection defines how many targets a relation may have.
      const targets = (name: string) =>
        Array.from({ length: 999 }, (_, i) => `${name}-${String(i).padStart(20)}`);
      const relations =
        subject().exceptions.hasNoSchema === undefined
          ? { project: project.slice(0, 1), tags }
          : Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`many${i}`, targets(`target${i}`)]));
      const { id, revision } = await createFile(catalog(), { relations });
      expect((await getFile(catalog(), id)).relations).toEqual(relations);
      const turned = Object.fromEntries(
        Object.entries(relations).map(([name, ids]) => [name, ids.toReversed()]),
      );
      expect((await catalog().update(id, revision, { relations: turned })).relations).toEqual(turned);
    });

    it('keeps the greatest numbers', async () => {
      const greatest = { sizeBytes: Number.MAX_SAFE_INTEGER, crc32c: 0xffff_ffff };
      const { id } = await createFile(catalog(), greatest);
      expect(await getFile(catalog(), id)).toMatchObject(greatest);
    });

    it.each(Object.entries(HOSTILE))('keeps hostile text: %s', async (_, text) => {
      const short = text.slice(0, 120);
      const { id } = await createFile(catalog(), {
        name: text,
        owner: short,
        usage: short,
        createdBy: short,
        attributes: { note: text, meta: { [text]: text } },
      });
      const read = await getFile(catalog(), id);
      expect(read).toMatchObject({ name: text, owner: short, usage: short, createdBy: short });
      expect(read.attributes).toMatchObject({ note: text, meta: { [text]: text } });
      const found = await catalog().list({
        filter: { owner: short, usage: short },
        showDeleted: false,
        limit: 10,
      });
      expect(found.map((file) => file.id)).toEqual([id]);
    });

    it.each<[string, JsonValue]>([
      ['text', 'text'],
      ['text that looks like a number', '12'],
      ['text that looks like JSON', '{"a":1}'],
      ['text that looks like null', 'null'],
      ['quoted text', '"quoted"'],
      ['a number', -1.5e-7],
      ['a great number', 1.7976931348623157e308],
      ['a number with many digits', 0.1 + 0.2],
      ['the least number', 5e-324],
      ['a measure', -6.02214076e23],
      ['the greatest whole number', Number.MAX_SAFE_INTEGER],
      ['zero', 0],
      ['true', true],
      ['false', false],
      ['an empty object', {}],
      ['a nested object', { a: { b: [1, 'two', null, { c: false }], '': [] } }],
      ['a list', [1, [2, [3]], 'x', null]],
      ['a list of null', [null]],
      ['strange names', { __proto__x: 1, constructor: 2, 'a.b[0]': 3, 'ü"\'': 4 }],
    ])('keeps attributes of every JSON shape: %s', async (_, value) => {
      const { id } = await createFile(catalog(), { attributes: { meta: value } });
      expect((await getFile(catalog(), id)).attributes.meta).toEqual(value);
    });

    it.each<[string, JsonValue]>([
      ['a whole number that may have lost digits', 2 ** 53],
      ['a negative one', -(2 ** 53)],
      ['a negative zero', -0],
      ['no number', NaN],
      ['an infinite number', -Infinity],
    ])('refuses %s, with nothing written', async (_, value) => {
      const refused = { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'meta' } };
      const file = await createFile(catalog());
      for (const meta of [value, { deep: [{ value }] }]) {
        const id = newId();
        await expect(createFile(catalog(), { id, attributes: { meta } })).rejects.toMatchObject(refused);
        expect((await catalog().get([id])).size).toBe(0);
        const changing = catalog().update(file.id, file.revision, { attributes: { meta } });
        await expect(changing).rejects.toMatchObject(refused);
      }
      expect((await getFile(catalog(), file.id)).revision).toBe(file.revision);
    });

    it('leaves out an attribute that is null', async () => {
      const { id } = await createFile(catalog(), { attributes: { note: null, meta: null } });
      const { attributes } = await getFile(catalog(), id);
      expect(Object.keys(attributes)).not.toEqual(expect.arrayContaining(['note']));
      expect(Object.keys(attributes)).not.toEqual(expect.arrayContaining(['meta']));
    });

    it('keeps or, as a named exception, leaves out an empty text', async () => {
      const { id } = await createFile(catalog(), { attributes: { note: '', meta: 1 } });
      const { attributes } = await getFile(catalog(), id);
      expect('note' in attributes).toBe(subject().exceptions.emptyAttributesAreUnset === undefined);
    });

    it.each([
      ['a NUL character', 'a\0b'],
      ['half a surrogate pair', 'a\ud83d'],
    ])('refuses %s, with nothing written', async (_, text) => {
      const field = async (fields: object) => {
        const file = newFile(fields);
        const { id: reservationId } = await reserve(catalog(), [file.id]);
        const error = await catalog()
          .create(file, { reservationId })
          .then(
            () => undefined,
            (reason: unknown) => reason,
          );
        expect((await catalog().get([file.id])).size).toBe(0);
        return error;
      };
      const refused = (name: string) => ({ reason: 'CATALOG_REFUSED', metadata: { field: name } });
      expect(await field({ name: text })).toMatchObject(refused('name'));
      expect(await field({ owner: text })).toMatchObject(refused('owner'));
      expect(await field({ usage: text })).toMatchObject(refused('usage'));
      expect(await field({ relations: { tags: [text] } })).toMatchObject(refused('relations.tags'));
      const invalid = { reason: 'ATTRIBUTE_INVALID', metadata: { attribute: 'meta' } };
      expect(await field({ attributes: { meta: { deep: [text] } } })).toMatchObject(invalid);
      expect(await field({ attributes: { meta: { [text]: 1 } } })).toMatchObject(invalid);

      const { id, revision } = await createFile(catalog());
      await expect(catalog().update(id, revision, { name: text })).rejects.toMatchObject(refused('name'));
      expect((await getFile(catalog(), id)).revision).toBe(revision);
      expect(await catalog().list({ filter: { owner: text }, showDeleted: true, limit: 10 })).toEqual([]);
      expect((await catalog().get([text])).size).toBe(0);
    });

    it('refuses an id that is taken, and leaves its file alone', async () => {
      const first = await createFile(catalog(), { name: 'first' });
      await expect(createFile(catalog(), { id: first.id, name: 'second' })).rejects.toMatchObject({
        reason: 'CATALOG_REFUSED',
        metadata: { field: 'id' },
      });
      expect((await getFile(catalog(), first.id)).name).toBe('first');
    });

    it('gets many records at once and omits missing ones', async () => {
      const files = await Promise.all(Array.from({ length: 30 }, () => createFile(catalog())));
      const ids = files.map((file) => file.id);
      const missing = Array.from({ length: 970 }, newId);
      const found = await catalog().get([...missing, ...ids, ...ids]);
      expect([...found.keys()].sort()).toEqual([...ids].sort());
      for (const file of files) expect(plain(found.get(file.id)!)).toEqual(plain(file));
      expect((await catalog().get([])).size).toBe(0);
    });

    it('finds nothing under ids that no file can have', async () => {
      const ids = ['', '../x', `" || id != "`, `' or 1=1 --`, '{:id}', 'ä'.repeat(64), '%', 'A'.repeat(64)];
      expect((await catalog().get(ids)).size).toBe(0);
    });
  });
}
