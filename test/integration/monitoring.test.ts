import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { ROOT, serverProgram } from '../support/install.ts';
import { metricsIn } from '../support/metrics.ts';
import { allRules, dashboardExpressions, MONITORING } from '../support/monitoring.ts';

const promtool = await serverProgram('promtool').catch((error: unknown) => {
  console.log(`promtool cannot be installed: ${String(error)}`);
  return undefined;
});
const withPromtool = promtool === undefined ? it.skip : it;
const reason = promtool === undefined ? ' (no promtool: it needs apt-get and Debian)' : '';

const alerts = allRules().flatMap(({ alert, annotations, labels }) =>
  alert === undefined ? [] : [{ alert, annotations, labels }],
);
const names = [...new Set(alerts.map(({ alert }) => alert))];

const TESTS = ['alerts.test.yml', 'slo.test.yml'];

/** What is expected of an alert at some time. */
interface AlertCase {
  readonly alertname: string;
  readonly exp_alerts: readonly { readonly exp_labels: { readonly severity: string } }[];
}

const check = (...args: string[]) =>
  promisify(execFile)(promtool!, args, { cwd: MONITORING.prometheus }).then(({ stdout }) => stdout);

describe('what deploy/ has for Prometheus and Grafana', () => {
  withPromtool(`has rules that promtool accepts${reason}`, async () => {
    expect(await check('check', 'rules', 'alerts.yml', 'slo.rules.yml')).not.toMatch(/FAILED/);
  });

  withPromtool(`fires each alert in a simulated fault, and none without one${reason}`, async () => {
    expect(await check('test', 'rules', ...TESTS)).not.toMatch(/FAILED/);
    const tests = TESTS.flatMap((file) => {
      const content = parse(readFileSync(join(MONITORING.prometheus, file), 'utf8')) as {
        readonly tests: readonly { readonly alert_rule_test: readonly AlertCase[] }[];
      };
      return content.tests;
    });
    const cases = tests.flatMap(({ alert_rule_test }) => alert_rule_test);
    const fired = cases.flatMap(({ alertname, exp_alerts }) =>
      exp_alerts.map(({ exp_labels }) => `${alertname} ${exp_labels.severity}`),
    );
    const quiet = cases.filter(({ exp_alerts }) => exp_alerts.length === 0).map(({ alertname }) => alertname);
    const wanted = alerts.map(({ alert, labels }) => `${alert} ${labels?.['severity']}`);
    expect([...new Set(fired)].sort()).toEqual([...new Set(wanted)].sort());
    expect([...new Set(quiet)].sort()).toEqual([...names].sort());
  });

  it('says in docs/operations.md what to do about each alert, and about no other', () => {
    const text = readFileSync(join(ROOT, 'docs', 'operations.md'), 'utf8');
    const [, section = ''] = /^## Alerts\n(.*?)^## /ms.exec(text) ?? [];
    const headings = [...section.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
    expect(headings.sort()).toEqual([...names].sort());
    for (const { alert, annotations, labels } of alerts) {
      expect(annotations).toMatchObject({ runbook: `docs/operations.md#${alert.toLowerCase()}` });
      expect(annotations?.['summary']).toBeTruthy();
      expect(['page', 'ticket']).toContain(labels?.['severity']);
    }
  });

  it('shows on the dashboard every metric of docs/metrics.md that has a value over time', () => {
    const documented = readFileSync(join(ROOT, 'docs', 'metrics.md'), 'utf8');
    const all = [...documented.matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name!);
    const shown = new Set(dashboardExpressions().flatMap(metricsIn));
    const hidden = ['nodejs_eventloop_delay_p50_seconds', 'target_info', 'v8js_memory_heap_limit_bytes'];
    expect(all.filter((name) => !shown.has(name))).toEqual(hidden);
  });
});
