import type { FileRecord } from '../../catalog/file-catalog.ts';
import { ROLES, type Principal, type Role } from '../../identity/caller.ts';

/** The result of a decision. */
export interface Verdict {
  readonly allowed: boolean;
  /** Name of the rule that decided: `role:read`, `owner`, `usage:relation:team`, `nobody` and the like. */
  readonly rule: string;
}

/** The fields of a file that decisions use. */
export type Subject = Pick<FileRecord, 'owner' | 'relations'>;

/** One access rule of a usage. */
export type AccessRule = { readonly verdict: Verdict } & (
  | { readonly kind: 'owner' | 'authenticated' }
  | { readonly kind: 'role'; readonly role: Role }
  | { readonly kind: 'relation'; readonly relation: string }
);

/** Who may read and write the files of a usage, besides callers with a role for it. */
export interface AccessRules {
  readonly read: readonly AccessRule[];
  readonly write: readonly AccessRule[];
}

/** Roles as written in a policy file, which is as in tokens. `act-for-user` gives access to no file. */
const ROLE_RULES: ReadonlyMap<string, Role> = new Map(
  ROLES.filter((role) => role !== 'act-for-user').map((role) => [`asset:${role}`, role]),
);

/** Texts of all rules except those for relations. */
export const PLAIN_RULES: readonly string[] = ['owner', 'authenticated', ...ROLE_RULES.keys()];

const RELATION_RULE = /^relation:([A-Za-z_][A-Za-z0-9_]{0,63})$/;

/**
 * Parses a rule of a policy file: `owner`, `authenticated`, a role as in tokens, or `relation:<name>` for callers whose
 * id is in that relation. Undefined if it is not a rule.
 */
export function parseAccessRule(text: string): AccessRule | undefined {
  const verdict = (name: string): Verdict => ({ allowed: true, rule: name });
  if (text === 'owner') return { kind: text, verdict: verdict('owner') };
  if (text === 'authenticated') return { kind: text, verdict: verdict('usage:authenticated') };
  const role = ROLE_RULES.get(text);
  if (role !== undefined) return { kind: 'role', role, verdict: verdict(`usage:role:${role}`) };
  const relation = RELATION_RULE.exec(text)?.[1];
  return relation === undefined
    ? undefined
    : { kind: 'relation', relation, verdict: verdict(`usage:relation:${relation}`) };
}

/** The verdict when no rule opens a file. */
export const NOBODY: Verdict = { allowed: false, rule: 'nobody' };

/** The verdict of the first rule that opens a file to this person or service; {@link NOBODY} if none does. */
export function verdictOf(rules: readonly AccessRule[], who: Principal, file: Subject): Verdict {
  for (const rule of rules) if (opens(rule, who, file)) return rule.verdict;
  return NOBODY;
}

/** True if the rule gives this person or service access to the file. */
function opens(rule: AccessRule, who: Principal, file: Subject): boolean {
  switch (rule.kind) {
    case 'owner':
      return owns(who, file);
    case 'authenticated':
      return !who.isService;
    case 'role':
      return who.roles.has(rule.role);
    case 'relation':
      return (
        !who.isService &&
        Object.hasOwn(file.relations, rule.relation) &&
        file.relations[rule.relation]!.includes(who.id)
      );
  }
}

/** True if this principal is the file's owner. A service owns nothing. */
export function owns(who: Principal, file: Subject): boolean {
  return !who.isService && file.owner !== '' && file.owner === who.id;
}
