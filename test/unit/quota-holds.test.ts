import { describe, expect, it } from '@jest/globals';
import { Holds, type Bound, type Used } from '../../src/files/quota-holds.ts';

const none: Used = { files: 0, bytes: 0 };

/** A bound of so many files and bytes. */
function bound(key: string, most: Partial<Used>): Bound {
  const { files = Infinity, bytes = Infinity } = most;
  const assertWithin = (used: Used) => {
    if (used.files > files || used.bytes > bytes) throw new Error(`${key}: ${JSON.stringify(used)}`);
  };
  return { key, assertWithin };
}

/** A reading that a test lets go on. */
function slow(used: () => Used) {
  const waiting: (() => void)[] = [];
  let reads = 0;
  return {
    read: () => {
      reads += 1;
      const seen = used();
      return new Promise<Used[]>((resolve) => waiting.push(() => resolve([seen])));
    },
    goOn: () => waiting.splice(0).forEach((each) => each()),
    get reads() {
      return reads;
    },
  };
}

describe('holds', () => {
  it('let in what fits, and refuse the rest, however many come at once', async () => {
    const holds = new Holds();
    const read = () => Promise.resolve([{ files: 1, bytes: 10 }]);
    const takes = Array.from({ length: 10 }, () =>
      holds.take([bound('a', { files: 4 })], { files: 1, bytes: 5 }, read),
    );
    const results = await Promise.allSettled(takes);
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  });

  it('count what was given back while one was reading, and read again before they refuse for it', async () => {
    const holds = new Holds();
    const bounds = [bound('a', { files: 1 })];
    // The first becomes used after the second has read, and before it looks.
    let used: Used = none;
    const first = await holds.take(bounds, { files: 1, bytes: 1 }, () => Promise.resolve([used]));
    const reading = slow(() => used);
    const second = holds.take(bounds, { files: 1, bytes: 1 }, reading.read);
    used = { files: 1, bytes: 1 };
    first[Symbol.dispose]();
    const refused = expect(second).rejects.toThrow('a: {"files":2');
    reading.goOn();
    await new Promise(setImmediate);
    reading.goOn();
    await refused;
    expect(reading.reads).toBe(2);

    // One that came to nothing gives its room to the next.
    used = none;
    const failed = await holds.take(bounds, { files: 1, bytes: 1 }, () => Promise.resolve([used]));
    const again = slow(() => used);
    const third = holds.take(bounds, { files: 1, bytes: 1 }, again.read);
    failed[Symbol.dispose]();
    again.goOn();
    await new Promise(setImmediate);
    again.goOn();
    (await third)[Symbol.dispose]();
    expect(again.reads).toBe(2);
  });

  it('grow as far as there is room, also past what became used meanwhile', async () => {
    const holds = new Holds();
    const bounds = [bound('a', { bytes: 100 })];
    let used: Used = none;
    let reads = 0;
    const read = () => {
      reads += 1;
      return Promise.resolve([used]);
    };
    const growing = await holds.take(bounds, { files: 1, bytes: 0 }, read);
    const other = await holds.take(bounds, { files: 1, bytes: 60 }, read);
    await growing.grow(40);
    await expect(growing.grow(41)).rejects.toThrow('"bytes":101');
    used = { files: 1, bytes: 60 };
    other[Symbol.dispose]();
    await expect(growing.grow(41)).rejects.toThrow('"bytes":101');
    growing[Symbol.dispose]();
    // Once for each that was taken, and once for what was given back.
    expect(reads).toBe(3);
  });

  it('take all of their bounds or none, and read nothing where there is no bound', async () => {
    const holds = new Holds();
    const read = () => Promise.resolve([none, none]);
    const both = [bound('a', { files: 1 }), bound('b', { files: 0 })];
    await expect(holds.take(both, { files: 1, bytes: 0 }, read)).rejects.toThrow('b:');
    const [only] = both;
    (await holds.take([only!], { files: 1, bytes: 0 }, read))[Symbol.dispose]();
    const unbound = await holds.take([], { files: 1, bytes: 0 }, () => Promise.reject(new Error('read')));
    await unbound.grow(2 ** 40);
    await unbound.confirm();
  });

  it('keep nothing of a reading that failed', async () => {
    const holds = new Holds();
    const bounds = [bound('a', { files: 1 })];
    await expect(
      holds.take(bounds, { files: 1, bytes: 0 }, () => Promise.reject(new Error('down'))),
    ).rejects.toThrow('down');
    await holds.take(bounds, { files: 1, bytes: 0 }, () => Promise.resolve([none]));
  });

  it('are not read again to be confirmed a moment later', async () => {
    const holds = new Holds();
    let reads = 0;
    const hold = await holds.take([bound('a', { files: 1 })], { files: 1, bytes: 0 }, () => {
      reads += 1;
      return Promise.resolve([none]);
    });
    await hold.confirm();
    expect(reads).toBe(1);
  });
});
