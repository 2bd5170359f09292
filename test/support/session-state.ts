/** A minimal state of a session, with pieces of these revisions to remove. */
export function sessionState(...stale: number[]) {
  return {
    ...{ version: 1, caller: { principal: 'worker', endUser: '' }, description: {}, direct: false },
    ...{ partSizeBytes: 1, parts: [], tail: [], stale, pending: [] },
    ...{ crc32c: 0, sha256State: '', expected: {} },
  };
}
