import pg from 'pg';

/** Owners have 100 files on average; `tenant` owns every tenth file. */
export const LARGE_OWNER = 'tenant';
/** Usages and content types by their share of 1,000 files. */
export const USAGES = { photo: 600, document: 250, avatar: 100, export: 49, contract: 1 };
export const TYPES = {
  ...{ 'image/jpeg': 600, 'application/pdf': 250, 'image/png': 100, 'video/mp4': 49, 'model/gltf-binary': 1 },
};
/** Files of one album: the target of a relation that every file has. */
const FILES_PER_ALBUM = 20;
/** Time between two files, in milliseconds. */
const INTERVAL_MS = 1_000;
/** The change log keeps so many changes at most. */
const MAX_CHANGES = 1_000_000;

/** Number of owners other than {@link LARGE_OWNER} among so many files. */
export function smallOwnersOf(count: number): number {
  return Math.max(1, Math.floor(count / 100));
}

/** Number of albums among so many files. */
export function albumsOf(count: number): number {
  return Math.max(1, Math.floor(count / FILES_PER_ALBUM));
}

/** The id of the file with a number from 1 on. */
const ID = `substr(md5(number::text), 1, 15)`;

/** An SQL expression that picks a key by its share; `among1000` is one of numbers below 1,000. */
export function picked(shares: Readonly<Record<string, number>>, among1000: string): string {
  let below = 0;
  const cases = Object.entries(shares).map(
    ([name, share]) => `when ${among1000} < ${(below += share)} then '${name}'`,
  );
  return `case ${cases.join(' ')} end`;
}

/** A number below 1,000, at random but the same for each number and salt. */
function random1000(salt: number): string {
  return `(hashint8extended(number, ${salt}) & 1023) * 1000 / 1024`;
}

/**
 * Fills the migrated, empty tables of a catalog in PostgreSQL with `count` files of several years. Every file has a
 * request key, checksums, attributes and a relation to an album, one in four a second relation, one in 49 is
 * deleted, one in 4,900 is due to be purged. The change log has one row for each of the newest files.
 *
 * Drops indexes and keys before and makes them again afterwards, which takes a third of the time.
 *
 * @param tell - called with the seconds of each step
 */
export async function fillPostgres(
  url: string,
  count: number,
  tell: (step: string, seconds: number) => void,
): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const run = async (step: string, statement: string) => {
    const started = performance.now();
    await client.query(statement);
    tell(step, (performance.now() - started) / 1_000);
  };
  try {
    await client.query(`set maintenance_work_mem = '1GB'; set synchronous_commit = off`);
    const remade = await dropIndexes(client);
    const end = Date.now();
    await run(
      'files',
      `insert into files (id, name, content_type, media_type, media_kind, size_bytes, sha256, crc32c, owner, usage,
         attributes, created_by, created_for, create_time, update_time, delete_time, purge_time, request_key, revision)
       select ${ID}, 'IMG_' || number || '.jpg', type, type, split_part(type, '/', 1), 20000 + number % 3000000,
         decode(md5(number::text) || md5((-number)::text), 'hex'), (number * 7919) % 4294967296, owner, usage,
         jsonb_build_object('source', 'camera-' || number % 40, 'page', number % 12, 'checked', number % 3 = 0),
         'worker', owner, time, time,
         case when number % 49 = 0 then time + 1000 end,
         case when number % 49 = 0 then case when number % 4900 = 0 then ${end} - number % 100000
           else ${end} + 86400000 + number end end,
         'worker:' || md5(number || 'request'), 1
       from (
         select number, ${picked(TYPES, random1000(1))} as type, ${picked(USAGES, random1000(2))} as usage,
           case when number % 10 = 0 then '${LARGE_OWNER}'
             else 'owner' || (hashint8extended(number, 3) & 2147483647) % ${smallOwnersOf(count)} end as owner,
           ${end} - (${count} - number) * ${INTERVAL_MS} as time
         from generate_series(1::bigint, ${count}) number
       ) made`,
    );
    await run(
      'relations',
      `insert into file_relations (file_id, name, position, target, create_time, owner)
       select ${ID}, kind.name, 0,
         case kind.name when 'album' then 'album' || (number / ${FILES_PER_ALBUM}) % ${albumsOf(count)}
           else 'invoice' || number end,
         ${end} - (${count} - number) * ${INTERVAL_MS},
         case when number % 10 = 0 then '${LARGE_OWNER}'
           else 'owner' || (hashint8extended(number, 3) & 2147483647) % ${smallOwnersOf(count)} end
       from generate_series(1::bigint, ${count}) number
       join (values ('album', 1), ('invoice', 4)) kind (name, each) on number % kind.each = 0`,
    );
    for (const { name, statement } of remade) await run(name, statement);
    await run(
      'changes',
      `insert into file_changes (xid, id, type, time, record)
       select '1', gen_random_uuid(), 'created', create_time, jsonb_build_object(
         'id', id, 'name', name, 'contentType', content_type, 'sizeBytes', size_bytes, 'crc32c', crc32c,
         'owner', owner, 'usage', usage, 'createdBy', created_by, 'createdFor', created_for, 'revision', '1',
         'relations', jsonb_build_object('album', jsonb_build_array('album' || id)), 'attributes', attributes,
         'sha256', translate(encode(sha256, 'base64'), E'\\n', ''), 'createTime', create_time,
         'updateTime', update_time)::text
       from (select * from files order by create_time desc limit ${Math.min(MAX_CHANGES, Math.ceil(count / 10))}) newest
       order by create_time`,
    );
    await run('vacuum analyze', 'vacuum analyze');
  } finally {
    await client.end();
  }
}

/** Drops the indexes and keys of the large tables; returns the statements that make them again, in order. */
async function dropIndexes(client: pg.Client): Promise<readonly { name: string; statement: string }[]> {
  const tables = `('files'::regclass, 'file_relations'::regclass)`;
  // Foreign keys come last, because they need the primary key that they name.
  const { rows: keys } = await client.query<{ name: string; table: string; definition: string }>(
    `select conname as name, conrelid::regclass::text as table, pg_get_constraintdef(oid) as definition
     from pg_constraint where conrelid in ${tables} and contype in ('p', 'u', 'f') order by contype <> 'f' desc`,
  );
  const { rows: indexes } = await client.query<{ name: string; statement: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as statement from pg_index
     where indrelid in ${tables}
       and not exists (select 1 from pg_constraint where conindid = indexrelid and contype in ('p', 'u'))`,
  );
  for (const { name, table } of keys.toReversed())
    await client.query(`alter table ${table} drop constraint ${name}`);
  for (const { name } of indexes) await client.query(`drop index ${name}`);
  const made = keys.map(({ name, table, definition }) => ({
    ...{ name, isLast: definition.startsWith('FOREIGN') },
    statement: `alter table ${table} add constraint ${name} ${definition}`,
  }));
  return [...made.filter((key) => !key.isLast), ...indexes, ...made.filter((key) => key.isLast)];
}
