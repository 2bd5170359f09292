import type { FileCatalog } from '../../catalog/file-catalog.ts';
import { isStale } from '../following.ts';
import { verifyState, type VerifyState } from '../verify.ts';

/** Name of the state of the verification of a store move in the catalog. */
export const STORE_VERIFY = 'store-move-verify';

/** The last verification of the move under way, if any. */
export async function storeVerification(
  catalog: Pick<FileCatalog, 'legacy'>,
  signal?: AbortSignal,
): Promise<(VerifyState & { readonly isStale: boolean }) | undefined> {
  const state = (await verifyState(catalog, signal, STORE_VERIFY)) ?? undefined;
  return state && { ...state, isStale: isStale(state) };
}

/** Forgets the verification, because the store has changed since. */
export async function dropVerification(
  catalog: Pick<FileCatalog, 'legacy'>,
  signal: AbortSignal,
): Promise<void> {
  await catalog.legacy.putState(STORE_VERIFY, null, { signal });
}
