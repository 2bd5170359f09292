import type PocketBase from 'pocketbase';

/** Users of the legacy system; PocketBase lets each of them read and write all files. */
export const USER_PASSWORD = 'legacy-password-1';

/** Users and projects that the files of the legacy system belong to. */
export interface LegacyPeople {
  readonly userIds: readonly string[];
  readonly projectIds: readonly string[];
}

const SIGNED_IN = '@request.auth.id != ""';

/** Settings of the service for the collection `files` of the legacy system. */
export const LEGACY_FIELDS = { name: 'title', owner: 'user', content_type: 'mime', size_bytes: 'size' };

/** Names of the views over `files`, which must work while files are moved. */
export const LEGACY_VIEWS = ['files_by_project', 'files_with_links', 'storage_of_users'] as const;

/** Makes the collections of the legacy system, with four users and four projects. */
export async function makeLegacyCollections(
  admin: PocketBase,
): Promise<LegacyPeople & { readonly collectionId: string }> {
  const users = await admin.collections.getOne('users');
  const projects = await admin.collections.create({
    ...{ name: 'projects', type: 'base', listRule: SIGNED_IN, viewRule: SIGNED_IN },
    fields: [{ name: 'title', type: 'text' }],
  });
  const files = await admin.collections.create({
    ...{ name: 'files', type: 'base', listRule: SIGNED_IN, viewRule: SIGNED_IN },
    ...{ createRule: SIGNED_IN, updateRule: SIGNED_IN, deleteRule: SIGNED_IN },
    fields: [
      { name: 'title', type: 'text' },
      { name: 'mime', type: 'text' },
      { name: 'size', type: 'number' },
      { name: 'user', type: 'relation', collectionId: users.id, maxSelect: 1 },
      { name: 'usage', type: 'select', values: ['avatar', 'invoice', 'dataset'], maxSelect: 1 },
      { name: 'project', type: 'relation', collectionId: projects.id, maxSelect: 1 },
      { name: 'secure_name', type: 'text', max: 500 },
      { name: 'link', type: 'text', max: 2000 },
      { name: 'file', type: 'file', maxSelect: 1, maxSize: 50_000_000, thumbs: ['100x100'] },
      { name: 'created', type: 'autodate', onCreate: true },
      { name: 'updated', type: 'autodate', onCreate: true, onUpdate: true },
    ],
  });
  await makeViews(admin);
  const userIds: string[] = [];
  const projectIds: string[] = [];
  for (let index = 0; index < 4; index++) {
    const password = { password: USER_PASSWORD, passwordConfirm: USER_PASSWORD };
    const email = `user${index}@example.com`;
    userIds.push((await admin.collection('users').create({ email, ...password })).id);
    projectIds.push((await admin.collection('projects').create({ title: `project ${index}` })).id);
  }
  return { userIds, projectIds, collectionId: files.id };
}

async function makeViews(admin: PocketBase): Promise<void> {
  const queries: Record<(typeof LEGACY_VIEWS)[number], string> = {
    files_by_project:
      'select f.id, f.title, p.title as project_title from files f left join projects p on p.id = f.project',
    files_with_links: 'select f.id, f.title, f.secure_name, f.link, f.file from files f',
    storage_of_users:
      'select f.user as id, count(f.id) as files, sum(f.size) as bytes from files f group by f.user',
  };
  for (const name of LEGACY_VIEWS) {
    await admin.collections.create({ name, type: 'view', listRule: SIGNED_IN, viewQuery: queries[name] });
  }
}
