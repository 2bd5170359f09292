import { createHash } from 'node:crypto';
import type { UsagePolicies } from './policy/usage-policies.ts';
import { MAX_AVIF_PIXELS, type VariantDefinition } from './policy/variant-definition.ts';

/** A media format that variants are made in. */
export type RenditionFormat = 'avif' | 'webp' | 'jpeg' | 'png';

/** What to make: one format, or JPEG unless the image has transparency (`plain`). */
export type WantedFormat = RenditionFormat | 'plain';

/** Changes when the same definition gives other images than before; then all are made anew. */
const GENERATION = 1;

/** Name of the thumbhash of a file. */
export const THUMBHASH = 'thumbhash';

/** Hash of what decides how a variant looks: 20 hexadecimal digits. */
export function definitionHash({ width, height, fit, format, quality }: VariantDefinition): string {
  const facts = [GENERATION, width ?? 0, height ?? 0, fit, format, quality ?? 0];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 20);
}

/** Name of a variant's rendition in one format, for `derivedKey`. */
export function renditionName(definition: VariantDefinition, format: RenditionFormat): string {
  return `${definitionHash(definition)}-${format}`;
}

/** Name of the record of a failure to make a variant in one format, for `derivedKey`. */
export function failureName(definition: VariantDefinition, format: WantedFormat): string {
  return `${FAILED}${definitionHash(definition)}-${format}`;
}

const FAILED = 'failed-';

/** True for a {@link failureName}. */
export function isFailureName(name: string): boolean {
  return name.startsWith(FAILED);
}

/** The formats that a variant may be requested in, best first. */
export function formatsOf({ format, width = 0, height = 0 }: VariantDefinition): readonly WantedFormat[] {
  if (format !== 'auto') return [format];
  const mayBeAvif = Math.max(width, height) <= MAX_AVIF_PIXELS;
  return mayBeAvif ? ['avif', 'webp', 'plain'] : ['webp', 'plain'];
}

/** The formats in which {@link WantedFormat} may result. */
export function resultsOf(wanted: WantedFormat): readonly RenditionFormat[] {
  return wanted === 'plain' ? ['jpeg', 'png'] : [wanted];
}

/** Names of everything that the usage policies let the service derive from a file. */
export function derivedNames(policies: Pick<UsagePolicies, 'all'>): ReadonlySet<string> {
  const definitions = policies.all.flatMap(({ variants }) => Object.values(variants));
  if (definitions.length === 0) return new Set();
  return new Set([THUMBHASH, ...definitions.flatMap(namesOf)]);
}

/** Names of everything that one definition of a variant gives, except the thumbhash. */
export function namesOf(definition: VariantDefinition): string[] {
  const formats = formatsOf(definition);
  return [
    ...formats.map((format) => failureName(definition, format)),
    ...formats.flatMap(resultsOf).map((format) => renditionName(definition, format)),
  ];
}

/** Name of the lease under which a variant of a file is made in one format. */
export function variantLease(fileId: string, definition: VariantDefinition, format: WantedFormat): string {
  return `variant-${fileId}-${definitionHash(definition)}-${format}`;
}

const LEASE = /^variant-([a-z0-9]{15})-([0-9a-f]{20})-([a-z]+)$/;

/** The file of a {@link variantLease}; undefined for another lease. */
export function fileOfLease(name: string): string | undefined {
  return LEASE.exec(name)?.[1];
}

/** Names of what may be stored under a {@link variantLease}, except the thumbhash. */
export function namesOfLease(name: string): string[] {
  const [, , hash = '', format = ''] = LEASE.exec(name) ?? [];
  return [`${FAILED}${hash}-${format}`, ...resultsOf(format as WantedFormat).map((one) => `${hash}-${one}`)];
}
