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

  --quick        a small run of every case, to see that it works; writes nothing
  --only=A,B     only these cases: ${CASES.map(({ id }) => id).join(', ')}; writes nothing
  --only=huge    instead: one generated file of --gib=N GiB (default 20), on the disk of the temporary directory
  --profile      instead: CPU profiles of the service, for the cases large and small or those in --only
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

// Servers keep their data in memory, so that the disk is not measured. A huge file does not fit there.
const isHuge = values.only === 'huge';
if (!isHuge && existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm';
// Keeps this process alive while servers stop.
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
// Handles that libraries keep open must not keep the process alive.
process.exit(succeeded ? 0 : 1);

/** Returns whether every available contestant finished. */
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
