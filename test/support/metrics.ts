/** A metric of a scrape. */
export interface Scraped {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Names of its labels, without `le`, sorted. */
  readonly labels: readonly string[];
  /** Values by the labels as text, such as `{kind="call"}`, and the suffix of the name, such as `_count`. */
  readonly values: ReadonlyMap<string, number>;
}

/** Scrapes a service. */
export async function scrape(port: number): Promise<ReadonlyMap<string, Scraped>> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (response.status !== 200) throw new Error(`HTTP ${response.status}`);
  return parseMetrics(await response.text());
}

/** The metrics in the text format of Prometheus, by name. */
export function parseMetrics(text: string): ReadonlyMap<string, Scraped> {
  if (!text.endsWith('\n')) throw new Error('the text has no final line break');
  const found = new Map<string, Scraped & { labels: string[]; values: Map<string, number> }>();
  let current = '';
  for (const line of text.split('\n').filter((line) => line !== '' && line !== '# no registered metrics')) {
    const [, keyword = '', name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (found.has(name)) throw new Error(`${name} is there twice`);
      found.set(name, { name, type: '', help: rest, labels: [], values: new Map() });
      current = name;
    } else if (keyword === 'TYPE') found.set(name, { ...found.get(name)!, type: rest });
    else {
      const [, sample = '', labels = '', value = ''] = /^(\w+)(\{.*\})? (\S+)$/.exec(line) ?? [];
      const metric = found.get(current);
      if (metric === undefined || !sample.startsWith(current)) throw new Error(`stray line: ${line}`);
      for (const [, label = ''] of labels.matchAll(/(?:^\{|",)(\w+)="/g)) {
        if (label !== 'le' && !metric.labels.includes(label)) metric.labels.push(label);
      }
      metric.labels.sort();
      metric.values.set(`${labels}${sample.slice(current.length)}`, Number(value));
    }
  }
  return found;
}

/** Names of metrics that expressions of Prometheus read, without the suffixes of histograms. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, '')
    .replaceAll(/\blabel_values\((\w+),[^)]*\)/g, '$1');
  const names = bare.match(/\b(?:asset|http|rpc|nodejs|v8js|process|db|target)_\w+/g) ?? [];
  return [...new Set(names)].map((name) =>
    name.replace(/_(bucket|count|sum)$/, (end, _, at) =>
      /_(seconds|bytes)$/.test(name.slice(0, Number(at))) ? '' : end,
    ),
  );
}

/** The sum of the values of a metric whose labels contain all of these texts. */
export function sumOf(
  metrics: ReadonlyMap<string, Scraped>,
  name: string,
  ...labels: readonly string[]
): number {
  const values = metrics.get(name)?.values ?? new Map<string, number>();
  return [...values]
    .filter(([key]) => labels.every((label) => key.includes(label)))
    .reduce((sum, [, value]) => sum + value, 0);
}
