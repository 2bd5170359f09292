import { toBinary, toJsonString } from '@bufbuild/protobuf';
import { FileSchema } from '@asset-service/contract/asset/v1/file_pb.js';
import { describe, expect, it } from '@jest/globals';
import type { FileRecord, JsonValue } from '../../src/catalog/file-catalog.ts';
import { AnswerRoom, MAX_ANSWER_BYTES, recordBytes } from '../../src/files/answer-room.ts';
import { toFile } from '../../src/rpc/service/convert.ts';

const RECORD: FileRecord = {
  ...{ id: 'abcdefghijklmno', name: 'report.pdf', contentType: 'application/pdf', sizeBytes: 2 ** 52 },
  ...{ sha256: new Uint8Array(32).fill(255), crc32c: 0xffff_ffff, owner: 'ann', usage: 'note' },
  ...{ createdBy: 'worker', createdFor: '', revision: '12-abcdefghijklmnopqrstuv' },
  ...{ createTime: new Date('2026-11-29T08:48:34.123Z'), updateTime: new Date('2026-11-29T08:48:34.123Z') },
  ...{ deleteTime: new Date(1e12 + 1), purgeTime: new Date(2e12 + 1), relations: {}, attributes: {} },
};

const nested = (depth: number): JsonValue => (depth === 0 ? 1 : [nested(depth - 1)]);

describe('recordBytes', () => {
  const attributes: Record<string, Record<string, JsonValue>> = {
    none: {},
    text: { a: 'x'.repeat(60_000) },
    kanji: { 漢字: '漢'.repeat(20_000) },
    'what JSON escapes': { a: '\u0001"\\\n'.repeat(5_000) },
    'short numbers': { a: Array.from({ length: 30_000 }, () => 1) },
    'long numbers': { a: Array.from({ length: 2_500 }, () => -1.2345678901234567e-123) },
    'null, true and empty': { a: Array.from({ length: 3_000 }, () => [null, true, {}, [], '']) },
    objects: { a: Array.from({ length: 3_000 }, (_, i) => ({ [`key${i}`]: { x: i } })) },
    'many names': Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`a${i}`, ''])),
    'deep lists': { a: nested(90) },
  };
  it.each(Object.entries(attributes))('is no less than the message has, with %s', (_, values) => {
    const file = {
      ...RECORD,
      attributes: values,
      relations: { project: Array.from({ length: 100 }, (_, i) => `ü"${i}`), r: ['x'] },
    };
    const bytes = recordBytes(file);
    const message = toFile(file);
    const [binary, json] = [
      toBinary(FileSchema, message).byteLength,
      Buffer.byteLength(toJsonString(FileSchema, message)),
    ];
    expect(bytes).toBeGreaterThanOrEqual(Math.max(binary, json));
  });

  it('is not much more than the message of a usual record has', () => {
    const file = { ...RECORD, attributes: { text: 'x'.repeat(8_000) } };
    expect(recordBytes(file)).toBeLessThan(1.1 * toBinary(FileSchema, toFile(file)).byteLength);
  });
});

describe('AnswerRoom', () => {
  it('has room for one item of any size, and for no more than an answer', () => {
    const room = new AnswerRoom();
    expect(room.next(1_000)).toBe(16);
    expect(room.take(10 * MAX_ANSWER_BYTES)).toBe(true);
    expect(room.take(1)).toBe(false);
    expect(room.next(5)).toBe(1);
  });

  it('asks for as many as will fit, by those that are there', () => {
    const room = new AnswerRoom();
    for (let i = 0; i < 51; i++) expect(room.take(MAX_ANSWER_BYTES / 60)).toBe(true);
    expect(room.next(500)).toBe(10);
    expect(room.next(3)).toBe(3);
    expect(room.take(MAX_ANSWER_BYTES / 60, MAX_ANSWER_BYTES / 6)).toBe(false);
    const small = new AnswerRoom();
    small.take(100);
    expect(small.next(1_000)).toBe(4);
    for (let i = 0; i < 30; i++) small.take(100);
    expect(small.next(1_000)).toBe(100);
  });
});
