import { createHash } from 'node:crypto';
import { auditedCaller, type Caller } from '../identity/caller.ts';
import type { FilesContext } from './context.ts';

/** Leave that the service gave by signing URLs. Whoever holds such a URL has it. */
export interface Grant {
  /** The name that the URLs show; see {@link grantId}. */
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
 * The name of a grant: the same for everybody who asks for the same thing within one time window, since the URL is
 * the same then and caches share it. Who asked is told by what {@link recordGrant} takes down.
 *
 * @param what - everything that makes the URL what it is
 */
export function grantId(what: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(what)).digest('base64url').slice(0, 22);
}

/** Takes down that a caller was given a grant, so that an access log of the store can be held against it. */
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
