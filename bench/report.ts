import { cpus, release, totalmem } from 'node:os';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { ROOT } from '../test/support/install.ts';
import type { Chart } from './chart.ts';
import type { CaseResult, Sample, Series } from './measure.ts';
import type { Profile } from './profile.ts';

const PAGE = join(ROOT, 'bench', 'results.md');
const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** Units of the tables: speed per `perSpeed`, CPU time per `perCpu`. */
const SHOWN = {
  byte: { speed: 'MiB/s', perSpeed: MiB, cpu: 's per GiB', perCpu: GiB, cpuFactor: 1 },
  file: { speed: 'files/s', perSpeed: 1, cpu: 'µs per file', perCpu: 1, cpuFactor: 1e6 },
  call: { speed: 'calls/s', perSpeed: 1, cpu: 'µs per call', perCpu: 1, cpuFactor: 1e6 },
  URL: { speed: 'URLs/s', perSpeed: 1, cpu: 'µs per URL', perCpu: 1, cpuFactor: 1e6 },
};

/** The result of a case as Markdown with one table. */
export function sectionOf(result: CaseResult): string {
  const { case: one, amount, series, missing } = result;
  const shown = SHOWN[one.unit];
  const baseline = series.find(({ name }) => name.startsWith(one.baseline));
  const cpuOf = (pick: (sample: Sample) => number | undefined) => (each: Series) =>
    spread(each.samples.map((sample) => scale(pick(sample), (shown.cpuFactor * shown.perCpu) / amount)));
  const columns: [string, (each: Series) => string][] = [
    ['', ({ name }) => name],
    [shown.speed, ({ samples }) => spread(samples.map(({ seconds }) => amount / shown.perSpeed / seconds))],
    ['ratio', (each) => (baseline ? ratioTo(baseline, each) : '–')],
    [`server CPU, ${shown.cpu}`, cpuOf(({ serverCpu }) => serverCpu)],
    ['ratio of it', (each) => (baseline ? cpuRatio(baseline, each, ({ serverCpu }) => serverCpu) : '–')],
    ['client CPU', cpuOf(({ clientCpu }) => clientCpu)],
    ['all CPU', cpuOf(({ allCpu }) => allCpu)],
    ['ratio of it', (each) => (baseline ? cpuRatio(baseline, each, ({ allCpu }) => allCpu) : '–')],
    ['peak memory of the server, MiB', ({ samples }) => highest(samples)],
  ];
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    `### ${one.title}`,
    '',
    row(columns.map(([title]) => title)),
    row(columns.map((_, index) => (index === 0 ? '---' : '--:'))),
    ...series.map((each) => row(columns.map(([, cell]) => cell(each)))),
    '',
    ...missing.map(({ name, missing: why }) => `Skipped: ${name} (${why}).\n`),
  ].join('\n');
}

/** The speeds of a case as a bar chart. */
export function speedChart({ case: one, amount, series }: CaseResult): Chart {
  const { speed, perSpeed } = SHOWN[one.unit];
  const bars = series.map(({ name, samples }) => {
    const value = median(samples.map(({ seconds }) => amount / perSpeed / seconds));
    return { label: name, value, text: digits(value) };
  });
  return { id: one.id, title: one.title, unit: speed, bars };
}

/** A CPU profile as Markdown: categories and the most expensive functions. */
export function profileTable(profile: Profile): string {
  const { case: one, amount, categories, functions } = profile;
  const shown = SHOWN[one.unit];
  const total = categories.reduce((sum, [, seconds]) => sum + seconds, 0);
  const rows = (lines: Profile['categories']) =>
    lines.map(([name, seconds]) => {
      const cpu = (profile.cpuSeconds * seconds) / total;
      const cost = digits((cpu * shown.cpuFactor * shown.perCpu) / amount);
      return `| ${name.replaceAll('_', '\\_')} | ${Math.round((100 * seconds) / total)} % | ${cost} |`;
    });
  return [
    `### Profile: ${one.title}`,
    '',
    `The whole process used ${digits((profile.cpuSeconds * shown.cpuFactor * shown.perCpu) / amount)} ${shown.cpu}.`,
    '',
    `| category | share | ${shown.cpu} |`,
    '| --- | --: | --: |',
    ...rows(categories.filter(([, seconds]) => seconds > total / 200)),
    '',
    `| function | share | ${shown.cpu} |`,
    '| --- | --: | --: |',
    ...rows(functions.slice(0, 20)),
  ].join('\n');
}

/** Date, machine and versions of the measurement. */
export function conditions(versions: Readonly<Record<string, string>>): string {
  const [cpu] = cpus();
  const software = { 'Node.js': process.version.slice(1), ...versions };
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}:`,
    `${cpus().length} cores (${cpu?.model.trim()}), ${Math.round(totalmem() / GiB)} GiB of memory, Linux ${release()};`,
    `${Object.entries(software)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
  ].join(' ');
}

/** Writes `text` between the markers `<!-- NAME:begin -->` and `<!-- NAME:end -->` of bench/results.md. */
export async function writePage(name: string, text: string): Promise<void> {
  const page = readFileSync(PAGE, 'utf8');
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`bench/results.md has no ${begin} … ${end}`);
  const next = `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`;
  writeFileSync(PAGE, await format(next, { ...(await resolveConfig(PAGE)), parser: 'markdown' }));
}

/** Median of the speed ratios within each round. */
function ratioTo(baseline: Series, { samples }: Series): string {
  if (samples === baseline.samples) return '1';
  return spread(samples.map(({ seconds }, round) => baseline.samples[round]!.seconds / seconds));
}

/** Median of the CPU time ratios within each round. */
function cpuRatio(
  baseline: Series,
  { samples }: Series,
  pick: (sample: Sample) => number | undefined,
): string {
  if (samples === baseline.samples) return samples.every((sample) => pick(sample) === undefined) ? '–' : '1';
  const ratios = samples.map((sample, round) => {
    const [cpu, base] = [pick(sample), pick(baseline.samples[round]!)];
    return cpu === undefined || base === undefined ? undefined : cpu / base;
  });
  return spread(ratios);
}

function highest(samples: readonly Sample[]): string {
  const peaks = samples.map(({ peakBytes }) => peakBytes ?? NaN);
  const highest = Math.max(...peaks);
  return Number.isNaN(highest) ? '–' : String(Math.round(highest / MiB));
}

/** The median, with minimum and maximum in brackets if there are several values. */
function spread(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (known.length === 0) return '–';
  if (known.length === 1) return digits(known[0]!);
  return `${digits(median(known))} (${digits(known[0]!)}–${digits(known.at(-1)!)})`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

function digits(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(value >= 10 ? 3 : 2);
}

function scale(value: number | undefined, factor: number): number | undefined {
  return value === undefined ? undefined : value * factor;
}
