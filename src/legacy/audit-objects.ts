import type { FieldValues } from '../catalog/legacy-records.ts';
import type { ListedObject } from '../storage/object-reader.ts';
import type { OldSystem } from './old-system.ts';
import {
  counted,
  type AuditLine,
  type AuditState,
  type AuditStep,
  type ObjectStatus,
} from './audit-report.ts';
import { keysOf } from './layout.ts';
import { readOldPath } from './old-path.ts';

/** Key of a PocketBase thumbnail: the key of the file with two more segments. */
const THUMB = /\/thumbs_([^/]+)\/[^/]*_\1$/s;

/**
 * Looks up the records of the next page of objects. Rejects if the catalog does not answer.
 */
export async function lookAtObjects(
  { bucket, catalog }: OldSystem,
  state: AuditState,
  signal: AbortSignal,
): Promise<AuditStep> {
  const page = await bucket.reader.list(state.cursor, { signal });
  const asked = page.map((object) => ({ object, path: readOldPath(object.key, bucket.layouts) }));
  const ids = [...new Set(asked.flatMap(({ path }) => path.ids))];
  const fields = new Map<string, FieldValues>();
  for (let at = 0; at < ids.length; at += 200) {
    const some = await catalog.legacy.fieldsOf(ids.slice(at, at + 200), { signal });
    for (const [id, values] of some) fields.set(id, values);
  }
  const lines = asked.map(({ object, path }): AuditLine & { kind: 'object' } => {
    const keys = path.ids.flatMap((id) => keysOf(bucket.layouts, fields.get(id) ?? {}));
    return { kind: 'object', key: object.key, status: objectStatus(object, keys) };
  });
  const last = page.at(-1);
  // Object times have whole seconds.
  const since = state.since === undefined ? Infinity : Math.floor(Date.parse(state.since) / 1_000) * 1_000;
  // Thumbnails do not count: PocketBase creates them on reads.
  const isWrite = ({ modifyTime }: ListedObject, index: number) =>
    modifyTime.getTime() >= since && !lines[index]!.status.includes('thumb');
  const past = page.filter(isWrite);
  const latest = past.reduce((time, { modifyTime }) => {
    return modifyTime.toISOString() > time ? modifyTime.toISOString() : time;
  }, state.lastOldObject ?? '');
  return {
    // Objects of records are in the report with their record.
    lines: lines.filter(({ status }) => status !== 'known' && status !== 'thumb'),
    state: {
      ...state,
      ...(last === undefined ? { phase: 'done' } : { cursor: last.key }),
      objectsPastService: (state.objectsPastService ?? 0) + past.length,
      ...(latest !== '' && { lastOldObject: latest }),
      objects: counted(
        state.objects,
        lines.map(({ status }) => status),
      ),
    },
  };
}

function objectStatus({ key }: ListedObject, keys: readonly string[]): ObjectStatus {
  if (keys.includes(key)) return 'known';
  const original = key.replace(THUMB, '/$1');
  if (original === key) return 'orphan';
  return keys.includes(original) ? 'thumb' : 'orphan-thumb';
}
