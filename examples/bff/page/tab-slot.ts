/**
 * A number for this tab that no other open tab has. The unfinished uploads of a tab are kept under it: two tabs do not
 * disturb each other, and a tab that is opened after another was closed goes on with what that one left.
 */
export async function tabSlot(scope: string): Promise<number> {
  for (let slot = 0; ; slot++) if (await holds(`${scope}-${slot}`)) return slot;
}

/** Takes a lock until this tab is closed; false if another tab has it. */
function holds(name: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const forever = new Promise<never>(() => undefined);
  void navigator.locks.request(name, { ifAvailable: true }, (lock) => {
    resolve(lock !== null);
    return lock === null ? undefined : forever;
  });
  return promise;
}
