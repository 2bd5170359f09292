import { crc32, deflateSync } from 'node:zlib';

/** Properties of a PNG that {@link png} makes. */
export interface PngOptions {
  readonly width: number;
  readonly height: number;
  /** 0 grey, 2 RGB, 6 RGBA; default grey. */
  readonly colour?: 0 | 2 | 6;
  /** Bits of a sample; default 1. */
  readonly depth?: 1 | 8 | 16;
  readonly isInterlaced?: boolean;
  /** Chunks before the pixels. */
  readonly chunks?: readonly Buffer[];
}

/** A PNG whose pixels are all zero: small, however many it says it has. */
export function png({ width, height, colour = 0, depth = 1, isInterlaced, chunks = [] }: PngOptions): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colour, 0, 0, isInterlaced ? 1 : 0], 8);
  const bits = depth * { 0: 1, 2: 3, 6: 4 }[colour];
  // Enough for all passes of an interlaced image.
  const bytes = Math.ceil((width * bits) / 8 + 1) * height * (isInterlaced ? 1.1 : 1);
  const pixels = deflateSync(Buffer.alloc(Math.ceil(bytes)), { level: 1 });
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    pngChunk('IHDR', header),
    ...chunks,
    pngChunk('IDAT', pixels),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

/** One chunk of a PNG. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A colour profile for a PNG that inflates to so many zeros. */
export function profileBomb(sizeBytes: number): Buffer {
  return pngChunk(
    'iCCP',
    Buffer.concat([Buffer.from('bomb\0\0', 'latin1'), deflateSync(Buffer.alloc(sizeBytes))]),
  );
}

/** A PDF with so many pages of this size, and a script that runs when it is opened. */
export function pdf({
  pages,
  width = 200,
  height = 300,
}: {
  pages: number;
  width?: number;
  height?: number;
}): Buffer {
  const kids = Array.from({ length: pages }, (_none, index) => `${index + 5} 0 R`).join(' ');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R /OpenAction 3 0 R >>',
    `<< /Type /Pages /Count ${pages} /Kids [${kids}] >>`,
    '<< /S /JavaScript /JS (while \\(true\\) { app.alert\\(1\\); }) >>',
    '<< /Length 34 >>\nstream\n0.8 0.1 0.1 rg 0 0 200 300 re f    \nendstream',
    ...Array.from(
      { length: pages },
      () => `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${width} ${height}] /Contents 4 0 R >>`,
    ),
  ];
  let text = '%PDF-1.7\n';
  const offsets = objects.map((object, index) => {
    const offset = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const start = text.length;
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const size = objects.length + 1;
  text += `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(text, 'latin1');
}

/** A HEIC of 64 by 48 pixels, made by libheif with an encoder that the tests do not have. */
export function heic(): Buffer {
  const base64 = [
    'AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA',
    'ACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAADIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt',
    'AAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA',
    'AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5j',
    'bHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBp',
    'eGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAADptZGF0AAAALigBrwtg+tSSD8Yf/mt4adorUPgUeu90j5LgAQwe',
    'S8SqDRFYiADcHJcLeul5yNw=',
  ];
  return Buffer.from(base64.join(''), 'base64');
}

/** A BMP of 2 by 1 pixels. */
export function bmp(): Buffer {
  const file = Buffer.alloc(62);
  file.write('BM');
  for (const [value, offset] of [
    [62, 2],
    [54, 10],
    [40, 14],
    [2, 18],
    [1, 22],
    [8, 34],
  ] as const) {
    file.writeUInt32LE(value, offset);
  }
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  file.set([0, 0, 255, 0, 255, 0], 54);
  return file;
}
