import { createHash } from 'node:crypto';
import { crc32, deflateSync } from 'node:zlib';

/** Who stored a file of the legacy system: the BFF, or an upload to PocketBase. */
export type LegacyWay = 'bff' | 'pocketbase';

/** Damage of a file of the legacy system. */
export type LegacyDamage = 'missing' | 'wrong-size' | 'wrong-type' | 'foreign-link';

/** A planned file of the legacy system. */
export interface LegacyPlan {
  readonly way: LegacyWay;
  /** Name of the object, or of the file that is sent to PocketBase. */
  readonly secureName: string;
  readonly title: string;
  readonly contentType: string;
  readonly content: Buffer;
  /** Content of the field `link`. */
  readonly link: 'url' | 'path' | 'none';
  readonly damage?: LegacyDamage;
  /** True for a record whose relation names a deleted project. */
  readonly hasBrokenRelation?: boolean;
}

/** Names that are hard to escape. */
export const ODD_NAMES = [
  'a+b.txt',
  '100% sure.txt',
  'already%20escaped.txt',
  `it's "quoted".txt`,
  'Größe.txt'.normalize('NFC'),
  'Größe.txt'.normalize('NFD'),
  'two  blanks in a row.txt',
  'CAPITALS.TXT',
  'question?mark#hash.txt',
  'emoji 🙂.txt',
  'a&b=c;d,e@f:g$h!(i)*.txt',
] as const;

/**
 * Plans a legacy system with `size` plain files, and one file with each special property and each damage. The same size
 * gives the same files.
 */
export function planFiles(size: number): readonly LegacyPlan[] {
  const plain = Array.from({ length: size }, (_, index) => plainFile(index));
  const base = { way: 'bff', contentType: 'text/plain', link: 'url' } as const;
  const odd = ODD_NAMES.map((secureName) => {
    return { ...base, secureName, title: secureName, content: text(`odd: ${secureName}`) };
  });
  const one = (name: string, more: Partial<LegacyPlan> = {}): LegacyPlan => ({
    ...{ ...base, secureName: `${name}.txt`, title: name, content: text(name) },
    ...more,
  });
  return [
    ...plain,
    ...odd,
    one('empty', { content: Buffer.alloc(0) }),
    one('large', { content: large(), contentType: 'application/octet-stream' }),
    one('without-link', { link: 'none' }),
    one('equal title 1', { title: 'equal title' }),
    one('equal title 2', { title: 'equal title' }),
    one('broken-relation', { hasBrokenRelation: true }),
    one('missing', { damage: 'missing' }),
    one('wrong-size', { damage: 'wrong-size' }),
    one('wrong-type', { damage: 'wrong-type', contentType: 'image/png' }),
    one('foreign-link', { damage: 'foreign-link' }),
  ];
}

function plainFile(index: number): LegacyPlan {
  if (index % 6 === 5) {
    const name = `picture ${index}`;
    const content = png(index);
    return {
      ...{ way: 'pocketbase', secureName: `${name}.png`, title: name, contentType: 'image/png' },
      ...{ content, link: 'none' },
    };
  }
  const secureName = `${digest(`name ${index}`).slice(0, 24)}.txt`;
  const content = text(`file ${index}\n`.repeat(1 + (index % 40)));
  return {
    ...{ way: 'bff', secureName, title: `file ${index}.txt`, contentType: 'text/plain', content },
    link: (['url', 'path', 'none'] as const)[index % 3]!,
  };
}

/** An id of 15 characters derived from a text. */
export function idFor(name: string): string {
  return BigInt(`0x${digest(`id ${name}`).slice(0, 24)}`)
    .toString(36)
    .padStart(15, '0')
    .slice(-15);
}

function large(): Buffer {
  const piece = createHash('sha512').update('large').digest();
  return Buffer.alloc(12 * 2 ** 20, piece);
}

/** A picture of one colour, 120 by 120. */
function png(seed: number): Buffer {
  const side = 120;
  const row = Buffer.alloc(1 + side * 3, 0);
  for (let x = 0; x < side; x++) row.set([seed % 256, (seed * 7) % 256, x], 1 + x * 3);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: side }, () => row)));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

function text(content: string): Buffer {
  return Buffer.from(content);
}

function digest(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}
