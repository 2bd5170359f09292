import { join } from 'node:path';
import { createBucket, createDatabase } from '../../support/shared-servers.ts';
import { copyRepository, productOnPocketBase, sharedByReplicas, type Setting } from './settings.ts';
import type { Which } from './snippets.ts';

/** A part of a page whose shell commands are run, in order, by one shell that ends at the first failure. */
export interface Part extends Omit<Which, 'language'> {
  /** Commands before those of the page. */
  readonly before?: string;
  /** Commands after the first block, the second one and so on. */
  readonly after?: readonly string[];
  /** Texts of the page that a reader replaces too. */
  readonly replaced?: Readonly<Record<string, string>>;
  /** True if the commands start a service of their own. */
  readonly starts?: true;
  /** Programs that the page or this part asks for. */
  readonly needs?: readonly string[];
  /** True to keep the settings of npm. */
  readonly npm?: true;
  /** @param dir - working directory of the commands, which is empty */
  readonly setUp?: (dir: string) => Promise<Setting>;
  /** What the output has, in order. */
  readonly shows: RegExp;
}

/** Starts a service, stores two files, and stops it. */
const TWO_FILES = `
  asset-service serve & until asset-service health; do sleep 1; done
  echo one | asset-service upload - --name one.txt -q
  echo two | asset-service upload - --name two.txt -q; kill %1; wait %1`;

/** Three images of one pixel with the usage `scan`. */
const THREE_SCANS = `
  echo iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg== |
    base64 -d > scan.png
  for name in 1 2 3; do asset-service upload scan.png --name $name.png --usage scan -q; done
  asset-service upload scan.png --usage photo -q`;

/** Prints the lines of a command that never ends, once there are as many as the first argument says. */
const FIRST_LINES = `
  first_lines() {
    local count=$1; shift
    "$@" > lines & until [ "$(wc -l < lines)" -ge "$count" ]; do sleep 0.2; done
    kill $!; wait $! || true; head -n "$count" lines
  }`;

/** The parts that are run. */
export const PARTS: readonly Part[] = [
  {
    page: 'quick-start.md',
    starts: true,
    shows:
      /SERVING[^]*"usage": "report"[^]*refused: CONTENT_TYPE_NOT_ALLOWED\n(\w{15})\n\1\nAll is well\.[^]*reviewed[^]*Report of Monday\.txt[^]*"type":"created"/,
  },
  {
    page: 'command-line.md',
    before: `
      mkdir photos folder; echo a > photos/a.txt; echo pdf > report.pdf
      pg_dump() { echo 'create table t ();'; }
      one=$(asset-service upload report.pdf -q); two=$(asset-service upload photos/a.txt -q)`,
    // The first download is to an empty directory.
    replaced: {
      ID1: '"$one"',
      ID2: '"$two"',
      'asset-service download ID  ': 'rm report.pdf; asset-service download "$one"  ',
      ID: '"$one"',
      'gzip  ': 'gzip | gunzip ',
    },
    shows: /"usage": "report"[^]*"name": "app\.sql"[^]*"path":"photos\/a\.txt"[^]*copy\.pdf\npdf\n[^]*a\.txt/,
  },
  {
    page: 'upgrade.md',
    before: 'asset-service migrate; mkdir -p data/blobs',
    shows: /applied 0001_files[^]*0 files/,
  },
  {
    page: 'operations.md',
    heading: 'Replicas and cores',
    starts: true,
    // The embedded store and catalog belong to one process.
    setUp: async () => ({ env: await sharedByReplicas() }),
    replaced: { 'asset-service serve &': 'asset-service serve >> serve.log &' },
    before: 'nproc() { echo 2; }; export -f nproc',
    after: [
      `until [ "$(grep -c '"msg":"listening"' serve.log)" = 2 ]; do sleep 0.5; done
       until asset-service health; do sleep 0.5; done; jobs -p | wc -l`,
    ],
    shows: /SERVING\n2\n$/,
  },
  {
    page: 'operations.md',
    heading: 'The deep sweep',
    // It refuses a catalog without files.
    before: TWO_FILES,
    starts: true,
    shows: /SERVING\n\w{15}\n\w{15}\nchecked [^]*nothing was removed\nchecked /,
  },
  {
    page: 'security.md',
    heading: 'Users and services in development',
    before: 'echo photo > photo.jpg',
    replaced: { 'asset-service serve': 'asset-service serve & until asset-service health; do sleep 1; done' },
    starts: true,
    shows: /SERVING[^]*"createdBy": "bff"/,
  },
  {
    page: 'backup.md',
    starts: true,
    async setUp(dir) {
      const { bucket, endpoint, accessKeyId, secretAccessKey } = await createBucket();
      return {
        env: {
          ...{ ASSET_BACKUP_S3_ENDPOINT: endpoint, ASSET_BACKUP_S3_FORCE_PATH_STYLE: 'true' },
          ASSET_BACKUP_S3_ACCESS_KEY_ID: accessKeyId,
          ASSET_BACKUP_S3_SECRET_ACCESS_KEY: secretAccessKey,
        },
        replaced: {
          '/mnt/backups/assets': join(dir, 'backups'),
          's3://asset-backups/production': `s3://${bucket}/production`,
        },
      };
    },
    before: TWO_FILES,
    // A restore is into an empty store and catalog.
    after: ['export ASSET_DATA_DIR=$PWD/restored', 'asset-service verify'],
    shows:
      /(full backup \S+: 2 files[^]* 2 {2}copied now[^]*){2}restored \S+: 2 files[^]* 2 {2}proven[^]*2 files/,
  },
  {
    page: 'events.md',
    heading: 'On the command line',
    needs: ['jq'],
    before: `${THREE_SCANS}\n${FIRST_LINES}`,
    replaced: {
      'asset-service watch --from existing': 'first_lines 2 asset-service watch --from existing',
      'asset-service watch --from "$cursor"':
        'cursor=$(head -n 1 lines | jq -r .cursor); first_lines 1 asset-service watch --from "$cursor"',
    },
    shows: /"type":"created".*"3\.png".*\n.*"2\.png".*\n\{.*"type":"asset\.v1\.file\.created".*"2\.png".*\n$/,
  },
  {
    page: 'events.md',
    heading: 'Subscriptions',
    needs: ['jq', 'curl'],
    before: `
      echo text | asset-service upload - --name parked.txt --usage parked -q
      call() { curl -fsS -H 'content-type: application/json' -d "$2" "$ASSET_URL/asset.v1.AssetService/$1"; }
      pulled=$(call PullEvents '{"subscription":"work","from":"WATCH_START_EXISTING","filter":{"usage":"parked"},"maxAttempts":1,"wait":"20s"}')
      event=$(jq -r '.deliveries[0].event.id // .deliveries[0].event.eventId' <<< "$pulled")
      call RejectEvent "$(jq -c '{subscription: "work", reason: "cannot read it", deliveryToken: .deliveries[0].deliveryToken}' <<< "$pulled")"`,
    replaced: { '[ID...]': '"$event"', NAME: 'work' },
    after: ['asset-service subscriptions list'],
    shows: /"parked":true\}\{"name":"work".*\n\{.*cannot read it.*\n\{"replayed":1\}\n$/,
  },
  {
    page: 'moving.md',
    heading: 'Views of the product',
    async setUp() {
      const pocketbase = await productOnPocketBase();
      const next = { ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: await createDatabase() };
      return { ...pocketbase, env: { ...pocketbase.env, ...next }, check: () => Promise.resolve() };
    },
    before: 'asset-service migrate > steps.txt',
    after: ['cat views.sql'],
    shows: /create (or replace )?view "?product"?\."?files"?/i,
  },
  {
    page: 'moving.md',
    heading: 'Moving the store',
    async setUp() {
      const { bucket, endpoint, accessKeyId, secretAccessKey } = await createBucket();
      const keys = {
        ASSET_NEXT_S3_ACCESS_KEY_ID: accessKeyId,
        ASSET_NEXT_S3_SECRET_ACCESS_KEY: secretAccessKey,
      };
      return {
        env: { ...keys, ASSET_NEXT_S3_FORCE_PATH_STYLE: 'true' },
        replaced: { 'https://s3.example': endpoint, 'files-new': bucket },
      };
    },
    starts: true,
    after: [
      `asset-service serve & until asset-service health; do sleep 1; done
       echo text | asset-service upload - --name text.txt -q
       asset-service store move start --yes; kill %1; wait %1`,
    ],
    shows: /SERVING\n\w{15}\ncopied 1 files and followed 0 changes\n$/,
  },
  {
    page: 'pocketbase.md',
    needs: ['jq', 'curl'],
    setUp: async (dir) => productOnPocketBase(dir),
    // It finds the open rules.
    replaced: {
      'asset-service config --check  ': 'asset-service config --check 2>&1 || echo "exit code $?"  ',
    },
    after: [
      'asset-service migrate > steps.txt',
      'asset-service migrate --dry-run > again.txt; diff planned.txt again.txt; echo undone',
      'asset-service migrate > steps.txt; asset-service config --check; echo closed',
    ],
    shows: /updateRule[^]*exit code 1\n[^]*would add field files\.[^]*\nundone\n[^]*closed\n/,
  },
  {
    page: 'publishing.md',
    has: 'npm run release:version',
    ...{ npm: true, setUp: (dir: string) => Promise.resolve(copyRepository(dir)) },
    before: `printf -- '---\\n"@asset-service/contract": major\\n---\\n\\nAll is new.\\n' > .changeset/one.md`,
    after: ['npm run check:versions; ls .changeset; jq -r .version clients/*/package.json'],
    needs: ['jq'],
    shows: /README\.md\nconfig\.json\n(1\.0\.0\n){4}$/,
  },
  {
    page: 'publishing.md',
    heading: 'The address of the repository',
    ...{ npm: true, setUp: (dir: string) => Promise.resolve(copyRepository(dir)) },
    replaced: { 'HOST/PATH': 'git.example/team/files' },
    after: [
      'git grep -c github.com/asset-service/asset-service || echo none is left; grep ^module gen/go/go.mod; git status --short',
    ],
    shows: /none is left\nmodule git\.example\/team\/files\/gen\/go\n[^]* M package\.json\n/,
  },
];
