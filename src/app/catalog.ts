import type { Logger } from 'pino';
import { withCatalog } from './drivers.ts';
import type { CatalogFinding, FileCatalog, PolicyNames } from '../catalog/file-catalog.ts';
import type { Config } from '../config/config.ts';
import { SettingsError } from '../config/settings.ts';
import type { UsagePolicies } from '../files/policy/usage-policies.ts';
import type { Dependency } from '../telemetry/health-monitor.ts';

/** Migrates the schema of the configured catalog; returns what it did, one line each. */
export function migrateCatalog(config: Config): Promise<readonly string[]> {
  return withCatalog(config, {}, (catalog) => catalog.migrate());
}

/** What {@link migrateCatalog} would do, one line each. Changes nothing. */
export function planMigration(config: Config): Promise<readonly string[]> {
  return withCatalog(config, { readOnly: true }, (catalog) => catalog.planMigration());
}

/** Findings about the configured catalog for its operator; rejects if it cannot be reached. Changes nothing. */
export function checkCatalog(config: Config): Promise<readonly CatalogFinding[]> {
  return withCatalog(config, { readOnly: true }, async (catalog) => {
    const findings = await catalog.inspect(namesIn(config.policies));
    if (findings.some(({ level }) => level === 'mistake')) return findings;
    const steps = await catalog.planMigration();
    if (steps.length === 0 || config.settings.ASSET_MIGRATE) return findings;
    const text = `ASSET_MIGRATE: is false, and the schema of the catalog is not up to date. Run \`asset-service migrate\`, which ${steps.join('; ')}.`;
    return [...findings, { level: 'mistake', text }];
  });
}

/**
 * Refuses work on a catalog whose settings do not fit it, such as a misspelt field.
 *
 * @throws SettingsError with what is wrong
 */
export async function assertFits(catalog: FileCatalog, { policies }: Config): Promise<void> {
  const findings = await catalog.inspect(namesIn(policies));
  const mistakes = findings.filter(({ level }) => level === 'mistake');
  if (mistakes.length > 0) throw new SettingsError(mistakes.map(({ text }) => text));
}

/** Time between two inspections of a catalog, in milliseconds: people change it while the service runs. */
const INSPECT_EVERY_MS = 60_000;

/**
 * The catalog as a dependency. It is inspected before use, and migrated unless `migrates` is false; if it is down
 * or wrongly set up at start, that happens when it is up or corrected. It is migrated again when the policies get
 * their first quota. New findings are logged. The catalog counts
 * as down while its setup has a mistake.
 */
export function catalogDependency(
  catalog: FileCatalog,
  options: {
    readonly policies: UsagePolicies;
    readonly migrates: boolean;
    readonly inspectEveryMs?: number;
  },
  log: Logger,
): Dependency {
  const { policies, migrates, inspectEveryMs = INSPECT_EVERY_MS } = options;
  let told: ReadonlySet<string> = new Set();
  let isMigrated = false;
  // Quotas need more of a catalog; the policy file may get one while the service runs.
  let hadQuotas = false;
  let inspectAt = 0;
  const inspect = async (call: { readonly signal: AbortSignal }) => {
    const findings = await catalog.inspect(namesIn(policies), call);
    for (const { level, text } of findings.filter((finding) => !told.has(finding.text))) {
      log[level === 'warning' ? 'warn' : 'error']({ catalog: catalog.kind }, text);
    }
    told = new Set(findings.map(({ text }) => text));
    const mistakes = findings.filter(({ level }) => level === 'mistake');
    if (mistakes.length > 0) throw new Error(mistakes.map(({ text }) => text).join(' '));
    inspectAt = Date.now() + inspectEveryMs;
  };
  return {
    name: 'catalog',
    async check(call) {
      if (Date.now() >= inspectAt) await inspect(call);
      const { hasQuotas } = policies;
      if (migrates && (!isMigrated || (hasQuotas && !hadQuotas))) {
        await migrate(catalog, log);
        [isMigrated, hadQuotas] = [true, hasQuotas];
      }
      await catalog.check(call);
    },
  };
}

function namesIn(policies: UsagePolicies): PolicyNames {
  const { usages, others } = policies.access;
  const relations = [...usages.values(), others].flatMap(({ read }) =>
    read.flatMap((rule) => (rule.kind === 'relation' ? [rule.relation] : [])),
  );
  return { relations: [...new Set(relations)], usages: [...usages.keys()] };
}

async function migrate(catalog: FileCatalog, log: Logger): Promise<readonly string[]> {
  const done = await catalog.migrate();
  for (const line of done) log.info({ catalog: catalog.kind }, line);
  return done;
}
