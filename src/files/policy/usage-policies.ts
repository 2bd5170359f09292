import { AssetError } from '../../errors/asset-error.ts';
import { fileTooLarge } from '../../errors/uploads.ts';
import { essence, isSameType } from '../content-type/media-types.ts';
import type { AccessRules } from './access-rules.ts';
import {
  parsePolicyFile,
  PLAIN_POLICY,
  type PolicyFile,
  type Quota,
  type UsagePolicy,
} from './policy-file.ts';
import { readFile } from 'node:fs/promises';
import { withoutMark } from '../../system/byte-order-mark.ts';
import { watchFiles } from '../../system/watch-files.ts';
import type { Logger } from 'pino';
import { z } from 'zod';

/** What every usage allows. */
export class UsagePolicies {
  #file: PolicyFile;
  #content: unknown;

  /**
   * @param content - content of a policy file. Without `default` only the usages that it names are allowed. By default
   *   every usage allows every type up to 5 TiB, and owners may read and write their files.
   * @throws ZodError if it is not of that form
   */
  constructor(content: unknown = { default: {} }) {
    this.#file = parsePolicyFile(content);
    this.#content = content;
  }

  /** The content of the policy file in use. */
  get content(): unknown {
    return this.#content;
  }

  /** Uses another policy file from the next call on. Throws ZodError, without a change, if it is invalid. */
  replace(content: unknown): void {
    this.#file = parsePolicyFile(content);
    this.#content = content;
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

  /** The policy of the existing files of a usage, which may be missing in the policy file by now. */
  ofExisting(usage: string): UsagePolicy {
    return this.#file.usages.get(usage) ?? this.#others;
  }

  /** Who may read and write the files of each usage that is named, and those of all others. */
  get access(): { readonly usages: ReadonlyMap<string, AccessRules>; readonly others: AccessRules } {
    return { usages: this.#file.usages, others: this.#others };
  }

  /** The policies of all usages that are named, and that of all others. */
  get all(): readonly UsagePolicy[] {
    return [...this.#file.usages.values(), this.#others];
  }

  /** Quota of one owner over all usages; undefined for no limit. */
  get ownerQuota(): Quota | undefined {
    return this.#file.quota;
  }

  /** True if there is a quota, of one usage or over all. */
  get hasQuotas(): boolean {
    return this.ownerQuota !== undefined || this.all.some(({ quota }) => quota !== undefined);
  }

  get #others(): UsagePolicy {
    return this.#file.others ?? PLAIN_POLICY;
  }

  /** Seconds from the deletion of a file to its purge; 30 days for a usage that the policy file does not have. */
  retentionSeconds(usage: string): number {
    return this.ofExisting(usage).retentionSeconds;
  }

  /** The rules of a usage for the bytes of its files. Throws USAGE_UNKNOWN. */
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

  /** True if the usage does not allow every type. */
  get restrictsTypes(): boolean {
    return this.#policy.contentTypes !== undefined;
  }

  /**
   * How a declared type must be proved: not at all if every type is allowed. If only a wildcard allows it, the bytes
   * must show it, because anybody can invent a subtype.
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

/**
 * Reads a policy file again when it changes. If it is invalid or missing, only logs that.
 *
 * @param check - rejects policies that this process cannot go by
 * @returns a function that stops it
 */
export function reloadPolicies(
  path: string,
  policies: UsagePolicies,
  log: Logger,
  check: (policies: UsagePolicies) => Promise<void> = () => Promise.resolve(),
): () => void {
  const reload = async () => {
    try {
      const content: unknown = JSON.parse(withoutMark(await readFile(path, 'utf8')));
      await check(new UsagePolicies(content));
      policies.replace(content);
      log.info({ path }, 'goes by the new usage policies');
    } catch (error) {
      const mistakes = error instanceof z.ZodError ? { mistakes: z.prettifyError(error) } : { err: error };
      log.error(
        { path, ...mistakes },
        'the usage policies changed and cannot be used: goes on with those before',
      );
    }
  };
  // One after the other: the last change counts.
  let last = Promise.resolve();
  return watchFiles([path], () => {
    last = last.then(reload);
  });
}
