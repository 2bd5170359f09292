import { isDeepStrictEqual } from 'node:util';
import type { FileRecord, TransferredFile } from '../../catalog/file-catalog.ts';
import { importFile } from '../../catalog/transfer.ts';
import type { Flow } from './flow.ts';
import { MoveRefused } from '../refused.ts';

/** Id of the record that proves the way back. One that a killed process left is replaced. */
const SCRATCH_ID = 'movesproofmoves';

/**
 * Proves that the active catalog takes records from the other one: writes one, reads it, and drops it. It is a soft-deleted
 * copy of an existing record, which nobody is shown and no log has.
 *
 * @throws MoveRefused if it does not
 */
export async function proveWayBack({ source, target }: Flow, signal: AbortSignal): Promise<void> {
  const call = { signal };
  const [some] = await target.exportFiles('', 1, call);
  const models = some ? [copyOf(some.record), plainRecord()] : [plainRecord()];
  let failure: unknown;
  for (const record of models) {
    try {
      await importFile(source, { record }, call);
      const [found] = await source.exportOnly([SCRATCH_ID], call);
      await source.dropFile(SCRATCH_ID, call);
      if (isSame(found, record)) return;
      failure = new Error('a record that was written there is not read as it was');
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  throw new MoveRefused(
    `the way back is not open: the ${source.kind} does not take records of the ${target.kind}: ${(failure as Error).message}`,
  );
}

function isSame(found: TransferredFile | undefined, record: FileRecord): boolean {
  if (found === undefined) return false;
  const { createTime, updateTime, revision } = found.record;
  const { createTime: created, updateTime: updated, revision: same } = record;
  return isDeepStrictEqual([createTime, updateTime, revision], [created, updated, same]);
}

/** Purged by the sweeper, should it be left. */
function copyOf(record: FileRecord): FileRecord {
  const deleteTime = record.deleteTime ?? new Date();
  const purgeTime = record.purgeTime ?? new Date(Date.now() + 3_600_000);
  return { ...record, id: SCRATCH_ID, deleteTime, purgeTime };
}

function plainRecord(): FileRecord {
  const time = new Date(1_700_000_000_000);
  return copyOf({
    ...{ id: SCRATCH_ID, name: 'move.txt', contentType: 'text/plain', sizeBytes: 0, revision: '1' },
    ...{ owner: '', usage: '', relations: {}, attributes: {}, createdBy: '', createdFor: '' },
    ...{ sha256: undefined, crc32c: undefined, createTime: time, updateTime: time },
    ...{ deleteTime: undefined, purgeTime: undefined },
  });
}
