import sharp, { type Sharp, type SharpInput, type SharpOptions } from 'sharp';
import { rgbaToThumbHash } from 'thumbhash';
import { MAX_AVIF_PIXELS, MAX_PIXELS } from '../files/policy/variant-definition.ts';
import type { RenditionFormat } from '../files/renditions.ts';
import { JobFailure, MAX_RESULT_BYTES, MAX_SOURCE_PIXELS, type Job, type Made } from './job.ts';
import { isPdf, renderFirstPage } from './pdf.ts';

// Runs in the child process alone.

/** The loaders that may read a file. Every other one is blocked, SVG among them. */
const LOADERS = ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif'];

/** Defaults of the quality by format. */
const QUALITY = { avif: 50, webp: 80, jpeg: 80 } as const;

/** Width and height that a thumbhash is computed from. */
const THUMBHASH_PIXELS = 100;

/** Formats that are read and written, by the names that sharp has for them. */
const FORMATS = {
  input: ['jpeg', 'png', 'webp', 'gif', 'heif'],
  output: ['jpeg', 'png', 'webp', 'heif'],
} as const;

/** Throws if the libvips of sharp was built without a format that is needed. */
export function assertFormats(): void {
  for (const direction of ['input', 'output'] as const) {
    const missing = FORMATS[direction].filter((name) => !sharp.format[name]?.[direction].buffer);
    if (missing.length === 0) continue;
    throw new Error(
      `the libvips of sharp cannot ${direction === 'input' ? 'read' : 'write'} ${missing.join(', ')}`,
    );
  }
}

/** Blocks all loaders except those of the list; call it once, before {@link render}. */
export function restrictSharp(): void {
  sharp.cache(false);
  sharp.concurrency(1);
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: LOADERS.map((name) => `VipsForeignLoad${name}`) });
}

/**
 * Makes an image of a file: its first frame or page, upright, in sRGB, without any metadata.
 *
 * @throws JobFailure
 */
export async function render(file: Buffer, job: Job): Promise<Made> {
  const source = isPdf(file) ? await pdfSource(file, job) : await imageSource(file);
  try {
    const { isOpaque, open } = source;
    const format = resultOf(job.format, isOpaque);
    const bytes = await encode(resized(open(), job, format), format, job.quality);
    if (bytes.length > MAX_RESULT_BYTES) {
      throw new JobFailure('result-too-large', `the ${format} has ${bytes.length} bytes`);
    }
    return { format, bytes, thumbhash: job.thumbhash ? await thumbhashOf(open()) : undefined };
  } catch (error) {
    throw asFailure(error);
  }
}

/** An image that can be read several times. */
interface Source {
  /** True if it has no transparent pixel. */
  readonly isOpaque: boolean;
  readonly open: () => Sharp;
}

async function imageSource(file: Buffer): Promise<Source> {
  const open = () => reader(file).autoOrient();
  try {
    const { width, height, hasAlpha } = await reader(file).metadata();
    if (width * height > MAX_SOURCE_PIXELS) {
      throw new JobFailure('too-many-pixels', `the image has ${width} x ${height} pixels`);
    }
    return { isOpaque: !hasAlpha || (await reader(file).stats()).isOpaque, open };
  } catch (error) {
    throw asFailure(error);
  }
}

async function pdfSource(file: Buffer, job: Job): Promise<Source> {
  const { data, width, height } = await renderFirstPage(file, job);
  return { isOpaque: true, open: () => reader(data, { raw: { width, height, channels: 4 } }).removeAlpha() };
}

function reader(input: SharpInput, options: SharpOptions = {}): Sharp {
  return sharp(input, {
    limitInputPixels: MAX_SOURCE_PIXELS,
    limitInputChannels: 5,
    sequentialRead: true,
    failOn: 'error',
    pages: 1,
    ...options,
  });
}

function resultOf(wanted: Job['format'], isOpaque: boolean): RenditionFormat {
  if (wanted !== 'plain') return wanted;
  return isOpaque ? 'jpeg' : 'png';
}

function resized(image: Sharp, { width, height, fit }: Job, format: RenditionFormat): Sharp {
  const max = format === 'avif' ? MAX_AVIF_PIXELS : MAX_PIXELS;
  const isFree = width === undefined || height === undefined;
  return image
    .resize({
      width: width ?? max,
      height: height ?? max,
      // With one of the two the image keeps its proportions, within the limits.
      fit: isFree ? 'inside' : fit,
      withoutEnlargement: isFree || fit === 'inside',
      background: format === 'jpeg' ? '#ffffff' : { r: 0, g: 0, b: 0, alpha: 0 },
    })
    .toColourspace('srgb');
}

async function encode(image: Sharp, format: RenditionFormat, quality: number | undefined): Promise<Buffer> {
  switch (format) {
    case 'avif':
      return image.avif({ quality: quality ?? QUALITY.avif, effort: 2 }).toBuffer();
    case 'webp':
      return image.webp({ quality: quality ?? QUALITY.webp }).toBuffer();
    case 'jpeg':
      return image
        .flatten({ background: '#ffffff' })
        .jpeg({ quality: quality ?? QUALITY.jpeg, progressive: true })
        .toBuffer();
    case 'png':
      return image.png().toBuffer();
  }
}

async function thumbhashOf(image: Sharp): Promise<Uint8Array> {
  const { data, info } = await image
    .resize({ width: THUMBHASH_PIXELS, height: THUMBHASH_PIXELS, fit: 'inside' })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return rgbaToThumbHash(info.width, info.height, data);
}

/** The failure that an error of the library means. */
function asFailure(error: unknown): JobFailure {
  if (error instanceof JobFailure) return error;
  const detail = error instanceof Error ? error.message : String(error);
  if (/exceeds pixel limit|dimensions? (is|are) too large|image is too large/i.test(detail)) {
    return new JobFailure('too-many-pixels', detail);
  }
  if (/out of memory|unable to allocate|malloc/i.test(detail))
    return new JobFailure('too-much-memory', detail);
  // A HEIC that says it is an AVIF: one loader reads both, but has no decoder for HEVC.
  if (/unsupported image format|blocked|compression format has not been built in/i.test(detail))
    return new JobFailure('not-an-image', detail);
  return new JobFailure('damaged', detail);
}
