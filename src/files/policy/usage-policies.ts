import { AssetError } from '../../errors/asset-error.ts';
import { fileTooLarge } from '../../errors/uploads.ts';
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

  /** What a usage allows its files to be, for one call. Throws USAGE_UNKNOWN if there is none of this name. */
  rulesOf(usage: string): ContentRules {
    return new ContentRules(usage, this.of(usage));
  }
}

/** What one usage allows the bytes of its files to be. */
export class ContentRules {
  readonly #usage: string;
  readonly #policy: UsagePolicy;

  constructor(usage: string, policy: UsagePolicy) {
    this.#usage = usage;
    this.#policy = policy;
  }

  /** Throws FILE_TOO_LARGE if the usage does not allow a file of this size. */
  checkSize(sizeBytes: number): void {
    const { maxSizeBytes } = this.#policy;
    if (sizeBytes <= maxSizeBytes) return;
    throw fileTooLarge(maxSizeBytes, `of usage "${this.#usage}"`, { usage: this.#usage });
  }

  /** Throws CONTENT_TYPE_NOT_ALLOWED if the usage does not allow this media type. */
  checkContentType(contentType: string): void {
    const { contentTypes } = this.#policy;
    const type = essence(contentType);
    if (contentTypes?.some((rule) => matches(rule, type)) ?? true) return;
    throw new AssetError(
      'CONTENT_TYPE_NOT_ALLOWED',
      `a file of usage "${this.#usage}" may not be ${type}: allowed are ${contentTypes?.join(', ')}`,
      { metadata: { usage: this.#usage, content_type: type } },
    );
  }

  /** True if the usage allows some types only. */
  get restrictsTypes(): boolean {
    return this.#policy.contentTypes !== undefined;
  }

  /**
   * What it takes to believe a declared type: nothing where every type is allowed. A type that is allowed by a
   * wildcard alone has to be shown by the bytes, since anybody can invent a subtype.
   */
  proofOf(declared: string): 'none' | 'mark' | 'any' {
    const { contentTypes } = this.#policy;
    if (contentTypes === undefined) return 'none';
    const type = essence(declared);
    const isNamed = contentTypes.some((rule) => !rule.endsWith('/*') && matches(rule, type));
    return isNamed ? 'mark' : 'any';
  }
}

function matches(rule: string, type: string): boolean {
  return rule.endsWith('/*') ? type.startsWith(rule.slice(0, -1)) : isSameType(rule, type);
}
