import type { FileChange, FileRecord } from '../../catalog/file-catalog.ts';
import type { Caller, Principal, Role } from '../../identity/caller.ts';
import { NOBODY, owns, verdictOf, type AccessRules, type Subject, type Verdict } from './access-rules.ts';

/** What a caller may do with an existing file; `delete` includes restoring it. */
export type FileAction = 'read' | 'update' | 'delete';

/** The role that permits this with every file. */
const ROLE_FOR: Readonly<Record<FileAction, Role>> = { read: 'read', update: 'write', delete: 'delete' };

const ADMIN: Verdict = { allowed: true, rule: 'role:admin' };
const BY_ROLE: Readonly<Record<FileAction, Verdict>> = {
  read: { allowed: true, rule: 'role:read' },
  update: { allowed: true, rule: 'role:write' },
  delete: { allowed: true, rule: 'role:delete' },
};
const OWNER: Verdict = { allowed: true, rule: 'owner' };
const OTHER_OWNER: Verdict = { allowed: false, rule: 'other-owner' };
const OPENS: Verdict = { allowed: false, rule: 'opens-reading' };

/**
 * The principal whose permission decides: the end user, if the service acts for one. The permissions of the service
 * are not added, so that nobody gets more through a service than by themselves.
 */
export function actingFor({ principal, endUser }: Caller): Principal {
  return endUser ?? principal;
}

/** The verdict if a role of the caller permits this with every file; otherwise undefined. */
export function mayAlways(caller: Caller, action: FileAction): Verdict | undefined {
  const { roles } = actingFor(caller);
  if (roles.has('admin')) return ADMIN;
  return roles.has(ROLE_FOR[action]) ? BY_ROLE[action] : undefined;
}

/**
 * Decides whether a caller may do something with a file.
 *
 * @param file - undefined if there is none; only a caller who may do this with every file is told so
 * @param access - the rules of the file's usage
 */
export function decide(
  caller: Caller,
  action: FileAction,
  file: Subject | undefined,
  access: AccessRules,
): Verdict {
  const always = mayAlways(caller, action);
  if (always !== undefined) return always;
  if (file === undefined) return NOBODY;
  const who = actingFor(caller);
  switch (action) {
    case 'read':
      return verdictOf(access.read, who, file);
    case 'update':
      return verdictOf(access.write, who, file);
    case 'delete':
      // An owner who may not write a file, such as an invoice, may not delete it either.
      return owns(who, file) && verdictOf(access.write, who, file).allowed ? OWNER : NOBODY;
  }
}

/**
 * Decides whether a caller may upload a file with this owner. Without the role, an upload is the caller's own.
 *
 * @param access - the rules of the new file's usage
 */
export function decideUpload(caller: Caller, file: Subject, access: AccessRules): Verdict {
  const always = mayAlways(caller, 'update');
  if (always !== undefined) return always;
  const who = actingFor(caller);
  return owns(who, file) ? verdictOf(access.write, who, file) : OTHER_OWNER;
}

/**
 * Decides whether a caller who may update a file may change it in this way.
 *
 * - Only a role permits a change of the owner.
 * - The usage, and relations that the access rules use, decide who may read the file. The owner may change them too, but
 *   must be a reader before and after: otherwise owners could give themselves access that their usage denies.
 * - To change the usage, the caller must be allowed to write the file under both usages.
 *
 * @param before - the rules of the current usage
 * @param after - the rules of the new usage
 */
export function decideChange(
  caller: Caller,
  file: FileRecord,
  change: FileChange,
  before: AccessRules,
  after: AccessRules,
): Verdict {
  const verdict = decide(caller, 'update', file, before);
  if (!verdict.allowed || mayAlways(caller, 'update') !== undefined) return verdict;
  if (change.owner !== undefined && change.owner !== file.owner) return OTHER_OWNER;
  const changesUsage = change.usage !== undefined && change.usage !== file.usage;
  if (!changesUsage && !changesReaders(file, change, before)) return verdict;
  if (!owns(actingFor(caller), file)) return OPENS;
  const written = changesUsage ? decide(caller, 'update', file, after) : verdict;
  if (!written.allowed) return written;
  const changed = { owner: file.owner, relations: { ...file.relations, ...change.relations } };
  const reads =
    decide(caller, 'read', file, before).allowed && decide(caller, 'read', changed, after).allowed;
  return reads ? written : OPENS;
}

function changesReaders(file: FileRecord, { relations }: FileChange, { read }: AccessRules): boolean {
  if (relations === undefined) return false;
  return read.some((rule) => {
    if (rule.kind !== 'relation' || !Object.hasOwn(relations, rule.relation)) return false;
    const ids = relations[rule.relation]!;
    const old = file.relations[rule.relation] ?? [];
    return ids.length !== old.length || ids.some((id, i) => id !== old[i]);
  });
}
