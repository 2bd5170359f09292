import type { VisibleFiles } from '../../catalog/file-catalog.ts';
import type { Caller } from '../../identity/caller.ts';
import type { AccessRule, AccessRules } from './access-rules.ts';
import { actingFor, mayAlways } from './decide.ts';

/** Access rules of each usage in the policy file, and of all others. */
export interface AccessByUsage {
  readonly usages: ReadonlyMap<string, AccessRules>;
  readonly others: AccessRules;
}

/**
 * The files that a caller may read, as a condition for the catalog. The rules are those of `decide`. A file is visible
 * if one of the parts matches it; undefined means all files.
 */
export function visibleTo(caller: Caller, access: AccessByUsage): readonly VisibleFiles[] | undefined {
  if (mayAlways(caller, 'read') !== undefined) return undefined;
  const who = actingFor(caller);
  const opened = usagesWith(
    access,
    (rule) =>
      (rule.kind === 'authenticated' && !who.isService) || (rule.kind === 'role' && who.roles.has(rule.role)),
  );
  if (opened !== undefined && opened.usages === undefined && opened.notUsages === undefined) return undefined;
  const parts: VisibleFiles[] = opened ? [opened] : [];
  if (who.isService) return parts;
  // A file without an owner is nobody's.
  const owned = who.id !== '' && usagesWith(access, (rule) => rule.kind === 'owner');
  if (owned) parts.push({ owner: who.id, ...owned });
  for (const name of relationsIn(access)) {
    const related = usagesWith(access, (rule) => rule.kind === 'relation' && rule.relation === name);
    if (related) parts.push({ relation: { name, id: who.id }, ...related });
  }
  return parts;
}

/** The usages with such a rule: those listed, or all except those listed. Undefined for none. */
function usagesWith(
  { usages, others }: AccessByUsage,
  isSuch: (rule: AccessRule) => boolean,
): Pick<VisibleFiles, 'usages' | 'notUsages'> | undefined {
  const othersHave = others.read.some(isSuch);
  const named = [...usages]
    .filter(([, { read }]) => read.some(isSuch) !== othersHave)
    .map(([usage]) => usage);
  if (othersHave) return named.length > 0 ? { notUsages: named } : {};
  return named.length > 0 ? { usages: named } : undefined;
}

function relationsIn({ usages, others }: AccessByUsage): ReadonlySet<string> {
  const rules = [...usages.values(), others].flatMap(({ read }) => read);
  return new Set(rules.flatMap((rule) => (rule.kind === 'relation' ? [rule.relation] : [])));
}
