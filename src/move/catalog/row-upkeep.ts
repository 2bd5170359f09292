import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { changeRow, type StoredRow } from '../replicas/row.ts';
import { CATALOG_ROW } from './progress.ts';
import { catalogId, openState, readCatalogRow, type CatalogRow } from './row.ts';

/** What one look at a catalog found. */
export interface Look {
  /** Id of the catalog, if a move gave it one. */
  readonly id: string | undefined;
  readonly stored: StoredRow<CatalogRow> | undefined;
}

/** Reads the row and the id of a catalog. */
export async function lookAt(
  catalog: FileCatalog,
  knownId: string | undefined,
  signal: AbortSignal,
): Promise<Look> {
  const [id, stored] = await Promise.all([
    knownId ?? catalogId(catalog, { signal }),
    readCatalogRow(catalog, { signal }),
  ]);
  return { id, stored };
}

/** Copies the row to catalogs that are not active and have an older one, because the mover did not come to it. */
export async function spreadRow(
  row: CatalogRow,
  others: readonly { readonly catalog: FileCatalog | undefined; readonly look: Look | undefined }[],
  signal: AbortSignal,
): Promise<void> {
  for (const { catalog, look } of others) {
    if (catalog === undefined || look === undefined || (look.stored?.row.epoch ?? -1) >= row.epoch) continue;
    // Another process may do the same.
    await changeRow(catalog, CATALOG_ROW, look.stored, row, { signal }).catch(() => undefined);
  }
}

/** Ends a pause without a switch. Whoever changes the row first decides: this process, another replica, or the mover. */
export async function endPause(
  active: FileCatalog,
  row: CatalogRow,
  signal: AbortSignal,
): Promise<CatalogRow | undefined> {
  const before = await readCatalogRow(active, { signal });
  if (before?.row.epoch !== row.epoch) return before?.row;
  const time = new Date().toISOString();
  const ended: CatalogRow = { ...row, epoch: row.epoch + 1, state: openState(row), time };
  const isEnded = await changeRow(active, CATALOG_ROW, before, ended, { signal });
  return isEnded ? ended : (await readCatalogRow(active, { signal }))?.row;
}
