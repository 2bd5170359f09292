import { createHash } from 'node:crypto';
import { auditedCaller, type Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';

/** A permission that the service gave by signing URLs; everybody who has such a URL has it. */
export interface Grant {
  /** The id in the URLs; see {@link grantId}. */
  readonly id: string;
  /** The file to read, or the upload that parts may be sent to. */
  readonly of: { readonly fileId: string } | { readonly uploadId: string };
  readonly expireTime: Date;
  /** The rule that allowed it. */
  readonly why: string;
  /** Further facts for the log: no location, no URL. */
  readonly facts: Readonly<Record<string, string | number>>;
}

/**
 * The id of a grant. Equal for equal requests within one time window, because their URLs are equal and caches share
 * them; the records of {@link recordGrant} say who requested it.
 *
 * @param what - everything that the URL depends on
 */
export function grantId(what: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(what)).digest('base64url').slice(0, 22);
}

/** Records in the audit log that a caller got a grant. The store's access log has the same id. */
export function recordGrant({ audit }: Pick<FilesContext, 'audit'>, caller: Caller, grant: Grant): void {
  const { id, of, expireTime, why, facts } = grant;
  const fileId = 'fileId' in of ? of.fileId : '';
  audit.record({
    ...auditedCaller(caller),
    ...{ action: 'grant', allowed: true, why, fileId },
    facts: {
      grant_id: id,
      ...('uploadId' in of && { upload_id: of.uploadId }),
      ...facts,
      expires: expireTime.toISOString(),
    },
  });
}
