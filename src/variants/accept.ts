import type { WantedFormat } from '../files/renditions.ts';

/** Media type of each format; `plain` is JPEG, or PNG where that is not accepted or the image has transparency. */
const TYPES: Readonly<Record<WantedFormat, readonly string[]>> = {
  avif: ['image/avif'],
  webp: ['image/webp'],
  jpeg: ['image/jpeg'],
  png: ['image/png'],
  plain: ['image/jpeg', 'image/png'],
};

/** Formats that old browsers do not know: accepted only if they are named, since every browser sends wildcards. */
const NAMED_ONLY: ReadonlySet<WantedFormat> = new Set(['avif', 'webp']);

/**
 * The formats of those offered that a browser accepts, by the quality values of its `Accept` header; equal ones in the
 * order of the offer. The last one of the offer is what every browser knows: it is the only result if none is accepted.
 *
 * @param accept - may be empty or invalid
 */
export function acceptedFormats(accept: string, offer: readonly WantedFormat[]): readonly WantedFormat[] {
  const ranges = parse(accept);
  const qualityOf = (format: WantedFormat) => {
    const types = TYPES[format];
    const named = types.flatMap((type) => ranges.get(type) ?? []);
    if (named.length > 0) return Math.max(...named);
    if (NAMED_ONLY.has(format)) return 0;
    return ranges.get('image/*') ?? ranges.get('*/*') ?? (ranges.size === 0 ? 1 : 0);
  };
  const accepted = offer
    .map((format) => ({ format, quality: qualityOf(format) }))
    .filter(({ quality }) => quality > 0)
    .sort((a, b) => b.quality - a.quality)
    .map(({ format }) => format);
  return accepted.length > 0 ? accepted : offer.slice(-1);
}

/** Quality values, 0 to 1, by media range in lower case. */
function parse(accept: string): ReadonlyMap<string, number> {
  const ranges = new Map<string, number>();
  for (const part of accept.split(',')) {
    const [range = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    if (!/^[^\s/]+\/[^\s/]+$/.test(range)) continue;
    const q = parameters.find((parameter) => /^q\s*=/.test(parameter));
    const quality = q === undefined ? 1 : Number(q.slice(q.indexOf('=') + 1).trim() || 'NaN');
    ranges.set(range, Number.isNaN(quality) ? 0 : Math.min(Math.max(quality, 0), 1));
  }
  return ranges;
}
