import { z } from 'zod';
import { MAX_AVIF_PIXELS, MAX_PIXELS } from './variant-definition.ts';

/** Maximum number of variants of a usage. */
const MAX_VARIANTS = 16;

const pixels = z.int().min(1).max(MAX_PIXELS);

const variantSchema = z
  .strictObject({
    width: pixels.optional(),
    height: pixels.optional(),
    fit: z.enum(['cover', 'contain', 'inside']).default('cover'),
    format: z.enum(['auto', 'webp', 'jpeg', 'png', 'avif']).default('auto'),
    quality: z.int().min(1).max(100).optional(),
    at: z.enum(['request', 'upload']).default('request'),
  })
  .check(({ value, issues }) => {
    const { width, height, format, quality } = value;
    const problem = (message: string, name: string) =>
      issues.push({ code: 'custom', message, input: value, path: [name] });
    if (width === undefined && height === undefined) problem('set width, height or both', 'width');
    if (format === 'png' && quality !== undefined) problem('a PNG has no quality: leave it out', 'quality');
    if (format !== 'avif') return;
    for (const [name, size] of Object.entries({ width, height })) {
      if (size === undefined || size <= MAX_AVIF_PIXELS) continue;
      problem(`must be at most ${MAX_AVIF_PIXELS} for format avif`, name);
    }
  });

/** Schema of the variants of a usage, by name. */
export const variantsSchema = z
  .record(
    z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9, _ and -, a letter first'),
    variantSchema,
  )
  .default({})
  .check(({ value, issues }) => {
    if (Object.keys(value).length <= MAX_VARIANTS) return;
    issues.push({ code: 'custom', message: `may have at most ${MAX_VARIANTS} variants`, input: value });
  });
