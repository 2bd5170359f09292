import type { FileRecord } from '../../catalog/file-catalog.ts';
import { ROLES, type Principal, type Role } from '../../identity/caller.ts';

/** What was decided. */
export interface Verdict {
  readonly allowed: boolean;
  /** Name of the rule that decided: `role:read`, `owner`, `usage:relation:team`, `nobody` and the like. */
  readonly rule: string;
}

/** What a decision looks at in a file. */
export type Subject = Pick<FileRecord, 'owner' | 'relations'>;

/** One way in which a usage opens its files. A file carries out what the text of the rule says. */
export type AccessRule = { readonly verdict: Verdict } & (
  | { readonly kind: 'owner' | 'authenticated' }
  | { readonly kind: 'role'; readonly role: Role }
  | { readonly kind: 'relation'; readonly relation: string }
);

/** Who may read and who may write the files of a usage, beside those whose role lets them. */
export interface AccessRules {
  readonly read: readonly AccessRule[];
  readonly write: readonly AccessRule[];
}

/** How roles are written in a policy file: as in tokens. Acting for users opens no files. */
const ROLE_RULES: ReadonlyMap<string, Role> = new Map(
  ROLES.filter((role) => role !== 'act-for-user').map((role) => [`asset:${role}`, role]),
);

/** Texts of rules that say whom, and not by which relation. */
export const PLAIN_RULES: readonly string[] = ['owner', 'authenticated', ...ROLE_RULES.keys()];

const RELATION_RULE = /^relation:([A-Za-z_][A-Za-z0-9_]{0,63})$/;

/**
 * The rule that a text of a policy file says: `owner`, `authenticated`, a role as it stands in tokens, or
 * `relation:<name>` for those whose id the relation names. Undefined if it says none.
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

/** True if the rule opens this file to this person or service. */
export function opens(rule: AccessRule, who: Principal, file: Subject): boolean {
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

/** True if the file has an owner, and this is the one. A service owns nothing. */
export function owns(who: Principal, file: Subject): boolean {
  return !who.isService && file.owner !== '' && file.owner === who.id;
}
