import type { Interceptor } from '@connectrpc/connect';
import type { AuditLog } from '../../audit/audit-log.ts';
import { isAssetError, type Reason } from '../../errors.ts';
import { auditedCaller } from '../../files/caller.ts';
import { callKey, type Call } from '../call.ts';
import { atEnd } from './ends.ts';

/**
 * Refusals that are decisions, and what was asked for. Permissions are not among them: they are taken down where they are
 * decided, also for each item of a batch. Everything else is a mistake of the caller or an outage, and the log's to tell.
 */
const DECISIONS: Partial<Record<Reason, string>> = {
  CREDENTIALS_MISSING: 'authenticate',
  CREDENTIALS_INVALID: 'authenticate',
  END_USER_NOT_ALLOWED: 'authenticate',
  RATE_LIMITED: 'limit',
  TOO_MANY_UPLOADS: 'limit',
  QUOTA_EXCEEDED: 'limit',
  MALWARE_FOUND: 'scan',
  FILE_TOO_LARGE: 'upload',
  CONTENT_TYPE_NOT_ALLOWED: 'upload',
  CONTENT_TYPE_MISMATCH: 'upload',
};

/** Takes down the calls that are refused by a decision. Stands inside of the interceptor that maps errors. */
export function auditRefusals(audit: AuditLog): Interceptor {
  return atEnd(({ method, contextValues }) => ({
    failed: (thrown) => {
      auditRefusal(audit, method.name, contextValues.get(callKey), thrown);
      return thrown;
    },
  }));
}

/** Takes down that a call was refused, if that was a decision. */
export function auditRefusal(audit: AuditLog, rpc: string, call: Call, thrown: unknown): void {
  if (!isAssetError(thrown)) return;
  const { reason, metadata } = thrown;
  const action = DECISIONS[reason];
  if (action === undefined) return;
  // Who failed to prove who they are is nobody yet, whatever they said.
  const known = action !== 'authenticate';
  const { credential = '', problem = '', file_id: fileId = '' } = metadata;
  audit.record({
    ...(known ? auditedCaller(call.caller) : { principal: '', endUser: '', requestId: call.requestId }),
    ...{ action, allowed: false, why: reason, fileId },
    facts: { rpc, ...(credential && { credential }), ...(problem && { problem }) },
  });
}
