import type { Interceptor } from '@connectrpc/connect';
import type { AuditLog } from '../../audit/audit-log.ts';
import { isAssetError, type Reason } from '../../errors/asset-error.ts';
import { auditedCaller } from '../../identity/caller.ts';
import { callKey, type Call, atEnd } from './call-context.ts';

/**
 * Refusals that are decisions, with their action. Permissions are not included: they are recorded where they are
 * decided, also for each item of a batch. Other errors are mistakes or outages, for the log only.
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

/** Records calls that are refused by a decision. Runs inside the interceptor that maps errors. */
export function auditRefusals(audit: AuditLog): Interceptor {
  return atEnd(({ method, contextValues }) => ({
    failed: (thrown) => {
      auditRefusal(audit, method.name, contextValues.get(callKey), thrown);
      return thrown;
    },
  }));
}

/** Records that a call was refused, if that was a decision. */
export function auditRefusal(audit: AuditLog, rpc: string, call: Call, thrown: unknown): void {
  if (!isAssetError(thrown)) return;
  const { reason, metadata } = thrown;
  const action = DECISIONS[reason];
  if (action === undefined) return;
  // A caller that failed to authenticate is unknown, whatever it claimed.
  const known = action !== 'authenticate';
  const { credential = '', problem = '', file_id: fileId = '' } = metadata;
  audit.record({
    ...(known ? auditedCaller(call.caller) : { principal: '', endUser: '', requestId: call.requestId }),
    ...{ action, allowed: false, why: reason, fileId },
    facts: { rpc, ...(credential && { credential }), ...(problem && { problem }) },
  });
}
