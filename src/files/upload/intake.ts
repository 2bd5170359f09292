import type { FileDescription } from '../../catalog/file-catalog.ts';
import { isAssetError } from '../../errors/asset-error.ts';
import type { Caller } from '../../identity/caller.ts';
import type { FilesContext } from '../context.ts';
import { requestKey } from './ids.ts';
import { cleanDescription } from '../description.ts';
import { authorizeUpload } from '../policy/guard.ts';
import type { ContentRules } from '../policy/usage-policies.ts';
import type { QuotaHold, Wanted } from '../quota.ts';
import { assertScannable } from './scan.ts';

/** A file that a caller wants to store. */
export interface NewFile {
  /** How the caller describes it; an empty content type is found out. */
  readonly description: FileDescription;
  /** Size that the caller gave, in bytes. */
  readonly sizeBytes: number | undefined;
  /** Empty if the upload may not be known again. */
  readonly requestId: string;
}

/** A file that its caller may store. */
export interface Intake {
  readonly caller: Caller;
  /** With what the policy adds. */
  readonly description: FileDescription;
  readonly sizeBytes: number | undefined;
  /** What the usage allows. Stays the same for the whole call. */
  readonly rules: ContentRules;
  /** What the catalog knows the upload again by; undefined without a request id. */
  readonly requestKey: string | undefined;
}

/**
 * Decides whether a caller may store a file.
 *
 * @throws AssetError PERMISSION_DENIED; USAGE_UNKNOWN, FILE_TOO_LARGE; FIELD_INVALID for a name or type that cannot be kept
 */
export function admitFile(context: FilesContext, caller: Caller, wanted: NewFile): Intake {
  const { sizeBytes, requestId } = wanted;
  const description = cleanDescription(authorizeUpload(context, caller, wanted.description));
  const rules = context.policies.rulesOf(description.usage);
  rules.checkSize(sizeBytes ?? 0);
  assertScannable(context, sizeBytes ?? 0);
  return { caller, description, sizeBytes, rules, requestKey: requestKey(caller, requestId) };
}

/**
 * Takes room in the owner's quota. Where there is none, the upload that took the last of it may be that of this very
 * request: `earlier` looks for it.
 *
 * @throws AssetError QUOTA_EXCEEDED, TOO_MANY_UPLOADS
 */
export async function takeRoom<T>(
  context: FilesContext,
  { description, sizeBytes = 0, requestKey: key }: Intake,
  wanted: Pick<Wanted, 'opener'>,
  earlier: (key: string) => Promise<T | undefined>,
  signal: AbortSignal,
): Promise<{ readonly room: QuotaHold } | { readonly earlier: T }> {
  try {
    return { room: await context.quotas.hold(context, description, { sizeBytes, ...wanted }, signal) };
  } catch (error) {
    const isFull = isAssetError(error, 'QUOTA_EXCEEDED', 'TOO_MANY_UPLOADS');
    const found = key !== undefined && isFull ? await earlier(key) : undefined;
    if (found === undefined) throw error;
    return { earlier: found };
  }
}
