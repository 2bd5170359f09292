/** The first `limit` of several lists in the sweeper's order: by expiry, then by id. */
export function oldestOf<T extends { readonly id: string; readonly expireTime: Date }>(
  holds: readonly T[],
  limit: number,
): readonly T[] {
  const inOrder = (a: T, b: T) => a.expireTime.getTime() - b.expireTime.getTime() || (a.id < b.id ? -1 : 1);
  return holds.toSorted(inOrder).slice(0, limit);
}
