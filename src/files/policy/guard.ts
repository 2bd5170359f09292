import type { AuditLog } from '../../audit/audit-log.ts';
import type { FileChange, FileDescription, FileRecord } from '../../catalog/file-catalog.ts';
import { permissionDenied } from '../../errors/callers.ts';
import { auditedCaller, type Caller } from '../../identity/caller.ts';
import type { Verdict } from './access-rules.ts';
import { actingFor, decide, decideChange, decideUpload, mayAlways, type FileAction } from './decide.ts';
import type { UsagePolicies } from './usage-policies.ts';

/** A requested action. */
export type Action = FileAction | 'upload' | 'list' | 'watch';

/** What decisions need, and the audit log that records them. */
export interface GuardContext {
  readonly policies: UsagePolicies;
  readonly audit: AuditLog;
}

/**
 * True if the caller may do this with the file. Records the decision.
 *
 * @param file - undefined if no file has the id
 */
export function may(
  context: GuardContext,
  caller: Caller,
  action: FileAction,
  fileId: string,
  file: FileRecord | undefined,
): boolean {
  return tell(context, caller, action, fileId, verdictOn(context, caller, action, file));
}

/** The same, without recording the decision: its caller records it together with the result. */
export function verdictOn(
  context: Pick<GuardContext, 'policies'>,
  caller: Caller,
  action: FileAction,
  file: FileRecord | undefined,
): Verdict {
  return decide(caller, action, file, context.policies.ofExisting(file?.usage ?? ''));
}

/**
 * Checks and records whether the caller may do this with the file. Call it before anything else depends on the record:
 * a caller without permission must not learn whether the file exists, is deleted, or belongs to somebody else.
 *
 * @param file - undefined if no file has the id
 * @throws AssetError PERMISSION_DENIED
 */
export function authorize(
  context: GuardContext,
  caller: Caller,
  action: FileAction,
  fileId: string,
  file: FileRecord | undefined,
): void {
  if (!may(context, caller, action, fileId, file)) throw permissionDenied(action);
}

/**
 * Checks and records whether the caller may upload this.
 *
 * @returns the description; the caller becomes the owner if none is given and no role permits a file without owner
 * @throws AssetError PERMISSION_DENIED
 */
export function authorizeUpload(
  context: GuardContext,
  caller: Caller,
  description: FileDescription,
): FileDescription {
  const access = context.policies.ofExisting(description.usage);
  const who = actingFor(caller);
  const isOwn = description.owner === '' && !who.isService && mayAlways(caller, 'update') === undefined;
  const file = isOwn ? { ...description, owner: who.id } : description;
  const verdict = decideUpload(caller, file, access);
  if (!tell(context, caller, 'upload', '', verdict)) throw permissionDenied('upload');
  return file;
}

/**
 * Checks and records whether a caller who may update a file may make this change.
 *
 * @throws AssetError PERMISSION_DENIED
 */
export function authorizeChange(
  context: GuardContext,
  caller: Caller,
  file: FileRecord,
  change: FileChange,
): void {
  if (change.owner === undefined && change.usage === undefined && change.relations === undefined) return;
  const { policies } = context;
  const after = policies.ofExisting(change.usage ?? file.usage);
  const verdict = decideChange(caller, file, change, policies.ofExisting(file.usage), after);
  if (!tell(context, caller, 'update', file.id, verdict)) throw permissionDenied('update');
}

/**
 * Records a decision; returns whether it allows the action.
 *
 * @param fileId - the requested id, even if there is no such file; empty for a new file and for a list
 */
export function tell(
  { audit }: GuardContext,
  caller: Caller,
  action: Action,
  fileId: string,
  verdict: Verdict,
): boolean {
  const { allowed, rule } = verdict;
  audit.record({ ...auditedCaller(caller), action, allowed, why: rule, fileId });
  return verdict.allowed;
}

/** Records, in one event, the decision about all ids of a batch that name no file. */
export function tellUnknown(context: GuardContext, caller: Caller, fileIds: readonly string[]): void {
  if (fileIds.length === 0) return;
  const { allowed, rule } = verdictOn(context, caller, 'read', undefined);
  const [only, ...more] = fileIds;
  context.audit.record({
    ...{ ...auditedCaller(caller), action: 'read', allowed, why: rule },
    ...(more.length === 0 ? { fileId: only! } : { fileId: '', facts: { unknown_files: fileIds.length } }),
  });
}
