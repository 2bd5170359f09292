import PocketBase from 'pocketbase';
import type { PocketBaseServer } from '../../support/pocketbase.ts';

/** A superuser's client, like that of PocketBase's operators. */
export async function adminOf(
  server: Pick<PocketBaseServer, 'url' | 'email' | 'password'>,
): Promise<PocketBase> {
  const admin = new PocketBase(server.url);
  admin.autoCancellation(false);
  await admin.collection('_superusers').authWithPassword(server.email, server.password);
  return admin;
}

/** Adds a collection of ten records; returns its id and theirs. */
export async function addTargets(
  admin: PocketBase,
  name: string,
): Promise<{ collectionId: string; ids: string[] }> {
  const fields = [{ name: 'title', type: 'text' }];
  const { id: collectionId } = await admin.collections.create({ name, type: 'base', fields });
  const ids: string[] = [];
  for (let i = 0; i < 10; i++) ids.push((await admin.collection(name).create({ title: `${name} ${i}` })).id);
  return { collectionId, ids };
}
