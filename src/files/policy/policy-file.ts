import { z } from 'zod';
import { parseAccessRule, PLAIN_RULES, type AccessRule, type AccessRules } from './access-rules.ts';

const MAX_FILE_BYTES = 5 * 2 ** 40;
const DAY_SECONDS = 24 * 60 * 60;

/** Longest life of a URL in seconds, which S3 sets: a week. */
const MAX_URL_SECONDS = 7 * DAY_SECONDS;
const DEFAULT_URL_SECONDS = 15 * 60;

/** What a list may have to tell apart in one query: PocketBase bounds the length of a filter. */
const MAX_USAGES = 100;
const MAX_NAMES_LENGTH = 2_000;

/** What one owner may have. */
export interface Quota {
  /** Bytes of all files together, softly deleted ones too; undefined for any number. */
  readonly maxBytesPerOwner?: number | undefined;
  readonly maxFilesPerOwner?: number | undefined;
}

/** What one usage allows. */
export interface UsagePolicy extends AccessRules {
  /** Greatest size of a file in bytes. At most 5 TiB, the limit of S3. */
  readonly maxSizeBytes: number;
  /** Media types allowed, `type/subtype` or `type/*`; any type where undefined. */
  readonly contentTypes?: readonly string[] | undefined;
  /** What the URL of a file may ask a browser to do: `attachment` to save it only, `inline` to show it as well. */
  readonly disposition: 'attachment' | 'inline';
  /** How long URLs live, in seconds: a caller's wish is bounded by these. */
  readonly urlLifetimeSeconds: { readonly min: number; readonly max: number; readonly default: number };
  /** What one owner may have of files of this usage; undefined for any number. */
  readonly quota?: Quota | undefined;
  /** How long a softly deleted file can be brought back, in seconds. */
  readonly retentionSeconds: number;
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

/** The form of the policy of one usage. */
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
});

/** What the contract allows as the usage of a file. */
const usageName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, 'must not hold control characters');

/** The form of a policy file: one policy a usage, and one for all other usages. */
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

/** What a policy file says. */
export interface PolicyFile {
  readonly usages: ReadonlyMap<string, UsagePolicy>;
  /** For every usage that is not named; undefined if there are no others. */
  readonly others: UsagePolicy | undefined;
  /** What one owner may have of all usages together. */
  readonly quota: Quota | undefined;
}

/** The policy of a usage of which nothing is said. */
export const PLAIN_POLICY: UsagePolicy = usagePolicySchema.parse({});

/**
 * Reads a policy file.
 *
 * @param content - JSON as it was parsed
 * @throws ZodError that tells every mistake with its place
 */
export function parsePolicyFile(content: unknown): PolicyFile {
  const parsed = policyFileSchema.parse(content);
  return { usages: new Map(Object.entries(parsed.usages)), others: parsed.default, quota: parsed.quota };
}
