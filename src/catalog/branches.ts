import type { FileFilter, VisibleFiles, FileRecord } from './file-catalog.ts';
import { canMatch, isStorable } from './storable.ts';

/** Files that meet every condition of it. A list of what somebody may see is made of several, one for each way. */
export interface Branch {
  readonly filter: FileFilter;
  /** Usages that a file of it may not have. */
  readonly notUsages: readonly string[];
  /** A second relation that a file of it must have. */
  readonly relation?: { readonly name: string; readonly id: string };
}

/**
 * The branches that a list is made of: a file is in the list if it is in one of them, and it may be in several. Each is
 * so simple that an index yields its files in the order of the list. None means that there can be no file.
 */
export function branchesOf(
  filter: FileFilter,
  visibleTo: readonly VisibleFiles[] | undefined,
): readonly Branch[] {
  const whole: Branch = { filter, notUsages: [] };
  if (visibleTo === undefined) return [whole];
  const branches: Branch[] = [];
  for (const part of visibleTo) {
    if (!canMatch(part)) continue;
    if (part.owner !== undefined && part.owner !== (filter.owner ?? part.owner)) continue;
    const { usage, relation } = filter;
    if (usage !== undefined && !hasUsage(part, usage)) continue;
    const usages = usage === undefined ? (part.usages?.filter(isStorable) ?? [undefined]) : [usage];
    const sameRelation = part.relation?.name === relation?.name && part.relation?.id === relation?.id;
    const narrowed = {
      ...filter,
      ...(part.owner !== undefined && { owner: part.owner }),
      ...(part.relation && !relation && { relation: part.relation }),
    };
    for (const one of usages) {
      const branch: Branch = {
        filter: one === undefined ? narrowed : { ...narrowed, usage: one },
        notUsages: usage === undefined ? (part.notUsages?.filter(isStorable) ?? []) : [],
        ...(part.relation && relation && !sameRelation && { relation: part.relation }),
      };
      if (isWhole(branch, filter)) return [whole];
      branches.push(branch);
    }
  }
  return branches;
}

function hasUsage({ usages, notUsages }: VisibleFiles, usage: string): boolean {
  return (usages === undefined || usages.includes(usage)) && !notUsages?.includes(usage);
}

/** True if the branch has all that the filter finds. */
function isWhole(
  { filter: { owner, usage, relation }, notUsages, ...more }: Branch,
  filter: FileFilter,
): boolean {
  return (
    notUsages.length === 0 &&
    more.relation === undefined &&
    owner === filter.owner &&
    usage === filter.usage &&
    relation === filter.relation
  );
}

/** The first `limit` files of several pages in the order of a list, each file once. */
export function mergePages(pages: readonly (readonly FileRecord[])[], limit: number): readonly FileRecord[] {
  const files = new Map(pages.flat().map((file) => [file.id, file]));
  const inOrder = (a: FileRecord, b: FileRecord) =>
    b.createTime.getTime() - a.createTime.getTime() || (a.id < b.id ? 1 : -1);
  return [...files.values()].sort(inOrder).slice(0, limit);
}
