import { AssetError } from '../../errors.ts';
import { essence, isSameType } from '../content-type/families.ts';
import type { AccessRules } from './access-rules.ts';
import {
  parsePolicyFile,
  PLAIN_POLICY,
  type PolicyFile,
  type Quota,
  type UsagePolicy,
} from './policy-file.ts';

/** What every usage allows. */
export class UsagePolicies {
  #file: PolicyFile;

  /**
   * @param content - of a policy file. Without `default` only the usages that it names are allowed. Left
   *   out, every usage allows every type up to 5 TiB, and its files are their owners'.
   * @throws ZodError if it is not of that form
   */
  constructor(content: unknown = { default: {} }) {
    this.#file = parsePolicyFile(content);
  }

  /** Goes on with another policy file, from the next call on. Throws ZodError, and goes on as before. */
  replace(content: unknown): void {
    this.#file = parsePolicyFile(content);
  }

  /** The policy of a usage. Throws USAGE_UNKNOWN if there is none. */
  of(usage: string): UsagePolicy {
    const policy = this.#file.usages.get(usage) ?? this.#file.others;
    if (policy !== undefined) return policy;
    throw new AssetError(
      'USAGE_UNKNOWN',
      usage === ''
        ? 'name the usage of the file'
        : `there is no usage "${usage}": use one that the policy names`,
      { metadata: { usage } },
    );
  }

  /** What holds for the files of a usage that exist: they may have one that the policy has no more. */
  ofExisting(usage: string): UsagePolicy {
    return this.#file.usages.get(usage) ?? this.#others;
  }

  /** Who may read and write the files of each usage that is named, and those of all others. */
  get access(): { readonly usages: ReadonlyMap<string, AccessRules>; readonly others: AccessRules } {
    return { usages: this.#file.usages, others: this.#others };
  }

  /** What one owner may have of all usages together; undefined for any number. */
  get ownerQuota(): Quota | undefined {
    return this.#file.quota;
  }

  get #others(): UsagePolicy {
    return this.#file.others ?? PLAIN_POLICY;
  }

  /** Seconds until a file of this usage, deleted now, is purged. A usage that is gone keeps for 30 days. */
  retentionSeconds(usage: string): number {
    return this.ofExisting(usage).retentionSeconds;
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
    const type = essence(contentType);
    if (contentTypes?.some((rule) => matches(rule, type)) ?? true) return;
    throw new AssetError(
      'CONTENT_TYPE_NOT_ALLOWED',
      `a file of usage "${usage}" may not be ${type}: allowed are ${contentTypes?.join(', ')}`,
      { metadata: { usage, content_type: type } },
    );
  }

  /** True if the usage allows some types only. */
  restrictsTypes(usage: string): boolean {
    return this.of(usage).contentTypes !== undefined;
  }

  /**
   * What it takes to believe a declared type: nothing where every type is allowed. A type that is allowed by a
   * wildcard alone has to be shown by the bytes, since anybody can invent a subtype.
   */
  proofOf(usage: string, declared: string): 'none' | 'mark' | 'any' {
    const { contentTypes } = this.of(usage);
    if (contentTypes === undefined) return 'none';
    const type = essence(declared);
    const isNamed = contentTypes.some((rule) => !rule.endsWith('/*') && matches(rule, type));
    return isNamed ? 'mark' : 'any';
  }
}

function matches(rule: string, type: string): boolean {
  return rule.endsWith('/*') ? type.startsWith(rule.slice(0, -1)) : isSameType(rule, type);
}
