import type { AuditLog } from '../../audit/audit-log.ts';
import type { FileChange, FileDescription, FileRecord } from '../../catalog/file-catalog.ts';
import { permissionDenied } from '../../errors/callers.ts';
import { auditedCaller, type Caller } from '../../identity/caller.ts';
import type { Verdict } from './access-rules.ts';
import { actingFor, decide, decideChange, decideUpload, type FileAction } from './decide.ts';
import type { UsagePolicies } from './usage-policies.ts';

/** What a caller wanted to do. */
export type Action = FileAction | 'upload' | 'list' | 'watch';

/** What a decision needs, and where it is taken down. */
export interface GuardContext {
  readonly policies: UsagePolicies;
  readonly audit: AuditLog;
}

/**
 * True if the caller may do this with the file.
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

/** The same, for who takes the decision down with what came of it. */
export function verdictOn(
  context: Pick<GuardContext, 'policies'>,
  caller: Caller,
  action: FileAction,
  file: FileRecord | undefined,
): Verdict {
  return decide(caller, action, file, context.policies.ofExisting(file?.usage ?? ''));
}

/**
 * Holds a call on a file to what its caller may do. It is asked before anything else is made of the record, so that
 * whoever may not know of a file gets one answer whether there is none, it is deleted, or it is somebody else's.
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
 * Holds an upload to what its caller may do.
 *
 * @returns the description, with the caller as the owner where it leaves out whom only a role may leave out
 * @throws AssetError PERMISSION_DENIED
 */
export function authorizeUpload(
  context: GuardContext,
  caller: Caller,
  description: FileDescription,
): FileDescription {
  const access = context.policies.ofExisting(description.usage);
  let file = description;
  let verdict = decideUpload(caller, file, access);
  if (!verdict.allowed && file.owner === '' && !actingFor(caller).isService) {
    file = { ...file, owner: actingFor(caller).id };
    verdict = decideUpload(caller, file, access);
  }
  if (!tell(context, caller, 'upload', '', verdict)) throw permissionDenied('upload');
  return file;
}

/**
 * Holds a change of a record, which the caller may update, to what of it the caller may change.
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
 * Takes a decision down, and returns whether it allows.
 *
 * @param fileId - the file that it was about, also where there is none of this id; empty for a new one, a list and a watch
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

/** Takes down, in one line, what a caller was told of all ids of a batch that name no file. */
export function tellUnknown(context: GuardContext, caller: Caller, fileIds: readonly string[]): void {
  if (fileIds.length === 0) return;
  const { allowed, rule } = verdictOn(context, caller, 'read', undefined);
  const [only, ...more] = fileIds;
  context.audit.record({
    ...{ ...auditedCaller(caller), action: 'read', allowed, why: rule },
    ...(more.length === 0 ? { fileId: only! } : { fileId: '', facts: { unknown_files: fileIds.length } }),
  });
}
