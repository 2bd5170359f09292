import type { FileFilter, VisibleFiles, FileRecord } from './file-catalog.ts';
import { canMatch, isStorable } from './storable.ts';

/**
 * Files that meet all of these conditions. A list of visible files combines several branches, one for each reason
 * to be visible.
 */
export interface Branch {
  readonly filter: FileFilter;
  /** Usages that its files may not have. */
  readonly notUsages: readonly string[];
  /** A second relation that its files must have. */
  readonly relation?: { readonly name: string; readonly id: string };
}

/**
 * The branches of a list: a file is in the list if it is in at least one. Each is so simple that an index returns
 * its files in the order of the list. No branch means that the list is empty.
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

/** True if the branch contains everything that the filter finds. */
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

/** The first `limit` files of several pages in list order, without duplicates. */
export function mergePages(pages: readonly (readonly FileRecord[])[], limit: number): readonly FileRecord[] {
  const files = new Map(pages.flat().map((file) => [file.id, file]));
  const inOrder = (a: FileRecord, b: FileRecord) =>
    b.createTime.getTime() - a.createTime.getTime() || (a.id < b.id ? 1 : -1);
  return [...files.values()].sort(inOrder).slice(0, limit);
}
