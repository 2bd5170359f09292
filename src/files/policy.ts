import { z } from 'zod';
import { AssetError } from '../errors.ts';

const MAX_FILE_BYTES = 5 * 2 ** 40;
const DAY_SECONDS = 24 * 60 * 60;

const usagePolicySchema = z.strictObject({
  maxSizeBytes: z.int().positive().max(MAX_FILE_BYTES).default(MAX_FILE_BYTES),
  contentTypes: z
    .array(
      z.string().regex(/^[a-z0-9!#$&^_.+-]+\/(\*|[a-z0-9!#$&^_.+-]+)$/, 'must be type/subtype or type/*'),
    )
    .min(1)
    .optional(),
  retentionSeconds: z
    .int()
    .nonnegative()
    .default(30 * DAY_SECONDS),
});

/** The form of a policy file: one policy a usage, and one for all other usages. */
const policyFileSchema = z.strictObject({
  usages: z.record(z.string().min(1).max(128), usagePolicySchema).default({}),
  default: usagePolicySchema.optional(),
});

/** What one usage allows. */
export interface UsagePolicy {
  /** Greatest size of a file in bytes. At most 5 TiB, the limit of S3. */
  readonly maxSizeBytes: number;
  /** Media types allowed, `type/subtype` or `type/*`; any type where undefined. */
  readonly contentTypes?: readonly string[] | undefined;
  /** How long a softly deleted file can be brought back, in seconds. */
  readonly retentionSeconds: number;
}

/** What every usage allows. */
export class UsagePolicies {
  readonly #usages: ReadonlyMap<string, UsagePolicy>;
  readonly #default: UsagePolicy | undefined;

  /**
   * @param file - the content of a policy file. Without `default` only the usages that it names are
   *   allowed. Left out, every usage allows every type up to 5 TiB.
   * @throws ZodError if it is not of that form
   */
  constructor(file: unknown = { default: {} }) {
    const parsed = policyFileSchema.parse(file);
    this.#usages = new Map(Object.entries(parsed.usages));
    this.#default = parsed.default;
  }

  /** The policy of a usage. Throws USAGE_UNKNOWN if there is none. */
  of(usage: string): UsagePolicy {
    const policy = this.#usages.get(usage) ?? this.#default;
    if (policy !== undefined) return policy;
    throw new AssetError(
      'USAGE_UNKNOWN',
      usage === ''
        ? 'name the usage of the file'
        : `there is no usage "${usage}": use one that the policy names`,
      { metadata: { usage } },
    );
  }

  /** Seconds until a file of this usage, deleted now, is purged. A usage that is gone keeps for 30 days. */
  retentionSeconds(usage: string): number {
    return (this.#usages.get(usage) ?? this.#default)?.retentionSeconds ?? 30 * DAY_SECONDS;
  }

  /** Throws FILE_TOO_LARGE if the usage does not allow a file of this size. */
  checkSize(usage: string, sizeBytes: number): void {
    const { maxSizeBytes } = this.of(usage);
    if (sizeBytes <= maxSizeBytes) return;
    throw new AssetError(
      'FILE_TOO_LARGE',
      `a file of usage "${usage}" may have at most ${maxSizeBytes} bytes: send a smaller one`,
      { metadata: { usage, max_size_bytes: String(maxSizeBytes) } },
    );
  }

  /** Throws CONTENT_TYPE_NOT_ALLOWED if the usage does not allow this media type. */
  checkContentType(usage: string, contentType: string): void {
    const { contentTypes } = this.of(usage);
    const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
    const allowed = contentTypes?.some((rule) =>
      rule.endsWith('/*') ? type.startsWith(rule.slice(0, -1)) : type === rule,
    );
    if (allowed ?? true) return;
    throw new AssetError(
      'CONTENT_TYPE_NOT_ALLOWED',
      `a file of usage "${usage}" may not be ${type}: allowed are ${contentTypes?.join(', ')}`,
      { metadata: { usage, content_type: type } },
    );
  }

  /** True if the usage restricts types, so that a declared type has to be proved by the bytes. */
  restrictsTypes(usage: string): boolean {
    return this.of(usage).contentTypes !== undefined;
  }
}
