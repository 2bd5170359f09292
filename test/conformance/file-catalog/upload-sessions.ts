import { expect } from '@jest/globals';
import type { FileCatalog } from '../../../src/catalog/file-catalog.ts';
import { newId, type CatalogSubject } from './subject.ts';

/** A time one hour from now, so that a session stays open during a test. */
export const hour = () => new Date(Date.now() + 3_600_000);

/** Opens, lists and forgets upload sessions of the catalog under test. */
export function sessionsOf(catalog: () => FileCatalog, subject: () => CatalogSubject) {
  const uploads = () => catalog().uploads;

  async function open(fields: Partial<Parameters<FileCatalog['uploads']['open']>[0]> = {}) {
    const result = await uploads().open({ id: newId(), state: { step: 1 }, expireTime: hour(), ...fields });
    expect(result.status).toBe('opened');
    return result.session;
  }

  /** Closed sessions among these ids. */
  async function taken(ids: readonly string[], now = new Date()) {
    const closed = await uploads().takeClosed(now, 1_000);
    return closed.filter((hold) => hold.kind === 'upload').filter(({ id }) => ids.includes(id));
  }

  function forget(id: string): Promise<void> {
    return uploads().forget({ kind: 'upload', id });
  }

  /** Runs `work` with two more replicas of the catalog, and closes them. */
  async function withReplicas(work: (replicas: FileCatalog[]) => Promise<void>): Promise<void> {
    const replicas = [subject().open(), subject().open()];
    try {
      await work(replicas);
    } finally {
      await Promise.all(replicas.map((replica) => replica.close()));
    }
  }

  return { uploads, open, taken, forget, withReplicas };
}
