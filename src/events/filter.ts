import type { FileFilter, FileRecord } from '../catalog/file-catalog.ts';
import { essence } from '../files/content-type/media-types.ts';

/** True if a record meets the conditions of a filter, as `FileCatalog.list` applies them. */
export function meets(filter: FileFilter, file: FileRecord): boolean {
  const { owner, usage, relation, contentType, createTimeFrom, createTimeTo } = filter;
  if (owner !== undefined && file.owner !== owner) return false;
  if (usage !== undefined && file.usage !== usage) return false;
  if (relation && !targetsOf(file, relation.name).includes(relation.id)) return false;
  if (contentType !== undefined && !isOfType(file.contentType, contentType.toLowerCase())) return false;
  if (createTimeFrom && file.createTime < createTimeFrom) return false;
  return !createTimeTo || file.createTime < createTimeTo;
}

function targetsOf({ relations }: FileRecord, name: string): readonly string[] {
  return Object.hasOwn(relations, name) ? relations[name]! : [];
}

function isOfType(contentType: string, wanted: string): boolean {
  const type = essence(contentType);
  return wanted.endsWith('/*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}
