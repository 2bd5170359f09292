import { z } from 'zod';
import { parseAccessRule, PLAIN_RULES, type AccessRule, type AccessRules } from './access-rules.ts';
import type { VariantDefinition } from './variant-definition.ts';
import { variantsSchema } from './variants.ts';

const MAX_FILE_BYTES = 5 * 2 ** 40;
const DAY_SECONDS = 24 * 60 * 60;

/** Maximum lifetime of a URL in seconds; the limit of S3 is a week. */
const MAX_URL_SECONDS = 7 * DAY_SECONDS;
const DEFAULT_URL_SECONDS = 15 * 60;

/** Limits what a list must distinguish in one query: PocketBase limits the length of a filter. */
const MAX_USAGES = 100;
const MAX_NAMES_LENGTH = 2_000;

/** Quota of one owner. */
export interface Quota {
  /** Bytes of all files together, including soft-deleted ones; undefined for no limit. */
  readonly maxBytesPerOwner?: number | undefined;
  readonly maxFilesPerOwner?: number | undefined;
}

/** The policy of one usage. */
export interface UsagePolicy extends AccessRules {
  /** Maximum size of a file in bytes. At most 5 TiB, the limit of S3. */
  readonly maxSizeBytes: number;
  /** Allowed media types, `type/subtype` or `type/*`; any if undefined. */
  readonly contentTypes?: readonly string[] | undefined;
  /** What a URL may ask a browser to do: `attachment` to save the file only, `inline` also to show it. */
  readonly disposition: 'attachment' | 'inline';
  /** Lifetime of URLs in seconds: bounds for a caller's request, and the default. */
  readonly urlLifetimeSeconds: { readonly min: number; readonly max: number; readonly default: number };
  /** Quota of one owner in this usage; undefined for no limit. */
  readonly quota?: Quota | undefined;
  /** How long a soft-deleted file can be restored, in seconds. */
  readonly retentionSeconds: number;
  /** Renditions of images that callers may request, by name. */
  readonly variants: Readonly<Record<string, VariantDefinition>>;
}

function accessRules(allowed: readonly string[], kinds: readonly AccessRule['kind'][]) {
  const rule = z.string().transform((text, context): AccessRule => {
    const parsed = parseAccessRule(text);
    if (parsed !== undefined && kinds.includes(parsed.kind)) return parsed;
    context.addIssue(`must be one of ${allowed.join(', ')}`);
    return z.NEVER;
  });
  return z.array(rule).max(32).prefault(['owner']);
}

const urlSeconds = z.int().min(1).max(MAX_URL_SECONDS);

const urlLifetime = z
  .strictObject({
    min: urlSeconds.default(1),
    max: urlSeconds.default(MAX_URL_SECONDS),
    default: urlSeconds.optional(),
  })
  .transform(({ min, max, default: given }, context) => {
    if (min > max) context.addIssue('min must not be above max');
    else if (given !== undefined && (given < min || given > max))
      context.addIssue('default must lie between min and max');
    return { min, max, default: given ?? Math.min(Math.max(DEFAULT_URL_SECONDS, min), max) };
  });

const quotaSchema = z.strictObject({
  maxBytesPerOwner: z.int().nonnegative().optional(),
  maxFilesPerOwner: z.int().nonnegative().optional(),
});

/** Schema of the policy of one usage. */
export const usagePolicySchema = z.strictObject({
  maxSizeBytes: z.int().positive().max(MAX_FILE_BYTES).default(MAX_FILE_BYTES),
  contentTypes: z
    .array(
      z.string().regex(/^[a-z0-9!#$&^_.+-]+\/(\*|[a-z0-9!#$&^_.+-]+)$/, 'must be type/subtype or type/*'),
    )
    .min(1)
    .optional(),
  read: accessRules([...PLAIN_RULES, 'relation:<name>'], ['owner', 'authenticated', 'role', 'relation']),
  write: accessRules(PLAIN_RULES, ['owner', 'authenticated', 'role']),
  disposition: z.enum(['attachment', 'inline']).default('inline'),
  urlLifetimeSeconds: urlLifetime.prefault({}),
  quota: quotaSchema.optional(),
  retentionSeconds: z
    .int()
    .nonnegative()
    .default(30 * DAY_SECONDS),
  variants: variantsSchema,
});

/** A usage as the contract permits it. */
const usageName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters');

/** Schema of a policy file: a policy for each usage, and one for all others. */
const policyFileSchema = z.strictObject({
  usages: z
    .record(usageName, usagePolicySchema)
    .default({})
    .check(({ value, issues }) => {
      const names = Object.keys(value);
      if (names.length <= MAX_USAGES && names.join('').length <= MAX_NAMES_LENGTH) return;
      const message = `may name at most ${MAX_USAGES} usages, whose names have at most ${MAX_NAMES_LENGTH} characters together`;
      issues.push({ code: 'custom', message, input: value });
    }),
  default: usagePolicySchema.optional(),
  quota: quotaSchema.optional(),
});

/** The parsed policy file. */
export interface PolicyFile {
  readonly usages: ReadonlyMap<string, UsagePolicy>;
  /** Policy of all usages that are not named; undefined if others do not exist. */
  readonly others: UsagePolicy | undefined;
  /** Quota of one owner over all usages. */
  readonly quota: Quota | undefined;
}

/** The policy of a usage without settings. */
export const PLAIN_POLICY: UsagePolicy = usagePolicySchema.parse({});

/**
 * Parses a policy file.
 *
 * @param content - the parsed JSON
 * @throws ZodError with every mistake and its place
 */
export function parsePolicyFile(content: unknown): PolicyFile {
  const parsed = policyFileSchema.parse(content);
  return { usages: new Map(Object.entries(parsed.usages)), others: parsed.default, quota: parsed.quota };
}
