import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildService } from './build.ts';
import { CASES } from './cases.ts';
import { writeChart } from './chart.ts';
import { measureHuge } from './huge.ts';
import { measureCase } from './measure.ts';
import { profileCase } from './profile.ts';
import { conditions, profileTable, sectionOf, speedChart, writePage } from './report.ts';
import { versions } from './versions.ts';

const USAGE = `npm run bench -- [options]

Compares the service with other ways to store files. Prints a table for each case and writes all of them, with charts, to bench/results.md.

  --quick        little of everything, in seconds, to see that it works; writes nothing
  --only=A,B     these cases alone: ${CASES.map(({ id }) => id).join(', ')}; writes nothing
  --only=huge    instead: one generated file of --gib=N GiB, 20 where left out, on the disk of the temporary directory
  --profile      instead: where the CPU time of the service goes, in the cases large and small or those of --only
`;

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    gib: { type: 'string', default: '20' },
    profile: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const cases = CASES.filter(({ id }) => values.only?.split(',').includes(id) ?? true);

// The servers keep their data in memory: the disk would be measured otherwise, and every other user of it. A huge file
// does not fit there.
const isHuge = values.only === 'huge';
if (!isHuge && existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm';
// Servers that are stopping do not keep this process alive by themselves.
setInterval(() => undefined, 1000);
let succeeded = true;
if (!values.help) await buildService();
if (values.help) {
  console.log(USAGE);
} else if (isHuge) {
  await measureHuge(Number(values.gib));
} else if (values.profile) {
  await profile();
} else {
  succeeded = await measure();
}
// What a library still holds open must not keep the process alive.
process.exit(succeeded ? 0 : 1);

/** Tells whether every contestant that was there went through with it. */
async function measure(): Promise<boolean> {
  const isWritten = !values.quick && !values.only;
  const sections: string[] = [];
  let failed = false;
  for (const one of cases) {
    const started = performance.now();
    const result = await measureCase(one, values.quick);
    failed ||= result.missing.some((each) => each.failed);
    console.error(`${one.id}: ${Math.round((performance.now() - started) / 1000)} s`);
    const section = sectionOf(result);
    console.log(section);
    sections.push(section);
    if (isWritten) sections.push(await writeChart(speedChart(result)));
  }
  const how = conditions(await versions(!values.quick));
  console.log(how);
  if (isWritten) await writePage('bench', [how, ...sections].join('\n\n'));
  return !failed;
}

async function profile(): Promise<void> {
  const tables: string[] = [];
  for (const one of values.only ? cases : cases.filter(({ id }) => id === 'large' || id === 'small')) {
    const table = profileTable(await profileCase(one, values.quick));
    console.log(table);
    tables.push(table);
  }
  if (!values.quick && !values.only) await writePage('profile', tables.join('\n\n'));
}
