import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from './install.ts';

/** The rules and the dashboard in `deploy/`. */
export const MONITORING = {
  prometheus: join(ROOT, 'deploy', 'prometheus'),
  dashboard: join(ROOT, 'deploy', 'grafana', 'asset-service.json'),
};

/** A rule of Prometheus. */
export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The rules in a file. */
export function rulesIn(file: string): Rule[] {
  const { groups } = parse(readFileSync(join(MONITORING.prometheus, file), 'utf8')) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  };
  return groups.flatMap(({ rules }) => rules);
}

/** All rules. */
export function allRules(): Rule[] {
  return ['alerts.yml', 'slo.rules.yml'].flatMap(rulesIn);
}

/** The expressions of the dashboard's panels and variables. */
export function dashboardExpressions(): string[] {
  const { panels, templating } = JSON.parse(readFileSync(MONITORING.dashboard, 'utf8')) as {
    readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
    readonly templating: {
      readonly list: readonly { readonly query: string | { readonly query: string } }[];
    };
  };
  return [
    ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query])),
  ];
}
