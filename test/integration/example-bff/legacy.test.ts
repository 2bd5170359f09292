import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startLegacySystem, type LegacyFile, type LegacySystem } from '../../support/legacy/system.ts';
import { makeDir, removeDir } from '../../support/process.ts';
import {
  settingsFor,
  startBff,
  startDevelopmentService,
  type Bff,
  type DevelopmentService,
} from './support/bff.ts';
import { Person } from './support/person.ts';

let dir: string;
let legacy: LegacySystem;
let development: DevelopmentService;
let bff: Bff;

beforeAll(async () => {
  dir = await makeDir('example-bff-legacy');
  legacy = await startLegacySystem({ size: 6 });
  development = await startDevelopmentService(dir, legacy.env);
  bff = await startBff(settingsFor(development));
});

afterAll(async () => {
  await bff?.dispose();
  await development?.service.dispose();
  await legacy?.dispose();
  await removeDir(dir);
});

/** The address that the old back end had for a file. */
const oldAddress = ({ key }: LegacyFile) => `/storage/${key.split('/').map(encodeURIComponent).join('/')}`;

it('leads old addresses to the bytes in the old bucket, for who may read the file', async () => {
  const undamaged = legacy.files.filter(({ damage }) => damage === undefined);
  const files = (['bff', 'pocketbase'] as const).map((way) => undamaged.find((file) => file.way === way)!);
  for (const file of files) {
    const owner = await Person.signedIn(bff.url, file.ownerId);
    const answer = await owner.ask(oldAddress(file));
    expect([file.way, answer.status, answer.text]).toEqual([file.way, 302, '']);
    expect(answer.headers.get('cache-control')).toMatch(/^private, max-age=\d+$/);
    expect(answer.headers.get('vary')).toBe('cookie');
    const location = answer.headers.get('location')!;
    expect(location).not.toBe(legacy.bucket.publicUrl(file.key));
    const read = await fetch(location);
    expect(Buffer.from(await read.arrayBuffer()).equals(file.content)).toBe(true);

    const other = await Person.signedIn(bff.url, 'somebodyelse000');
    const refused = await other.ask(oldAddress(file));
    const unknown = await other.ask('/storage/nosuchrecord000/none.png');
    // The answer does not tell whether there is such a file.
    expect([refused.status, refused.text]).toEqual([unknown.status, unknown.text]);
    expect([refused.status, refused.headers.get('location')]).toEqual([403, null]);
    expect((await new Person(bff.url).ask(oldAddress(file))).status).toBe(401);
  }
});
