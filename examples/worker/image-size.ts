/** Format and size of an image, from its first bytes; no size if the format is not known. */
export interface ImageSize {
  readonly format: 'png' | 'gif' | 'jpeg' | 'unknown';
  readonly width?: number;
  readonly height?: number;
}

/** Reads the header of a PNG, GIF or JPEG. */
export function imageSize(bytes: Uint8Array): ImageSize {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (head.length >= 24 && head.readUInt32BE(0) === 0x89504e47) {
    return { format: 'png', width: head.readUInt32BE(16), height: head.readUInt32BE(20) };
  }
  if (head.length >= 10 && head.toString('latin1', 0, 4) === 'GIF8') {
    return { format: 'gif', width: head.readUInt16LE(6), height: head.readUInt16LE(8) };
  }
  if (head.length >= 4 && head.readUInt16BE(0) === 0xffd8) return { format: 'jpeg', ...frameSize(head) };
  return { format: 'unknown' };
}

/** The size in the frame header of a JPEG: segments SOF0 to SOF15, except those of tables. */
function frameSize(jpeg: Buffer): { width?: number; height?: number } {
  for (let at = 2; at + 9 <= jpeg.length && jpeg[at] === 0xff;) {
    const marker = jpeg[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { height: jpeg.readUInt16BE(at + 5), width: jpeg.readUInt16BE(at + 7) };
    at += 2 + jpeg.readUInt16BE(at + 2);
  }
  return {};
}
