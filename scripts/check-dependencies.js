/**
 * Checks the dependencies: `npm run check:dependencies`.
 *
 * - Every licence must permit distribution with the product; AGPL and GPL do not.
 * - Writes the software bill of materials of production dependencies to `dist/sbom.cdx.json` (CycloneDX).
 * - No package may have a known vulnerability of high severity. If the registry (a mirror) does not support `npm
 *   audit`, the script says so and does not fail.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exit } from 'node:process';

const root = join(import.meta.dirname, '..');

/** SPDX ids of permissive licences. */
const ALLOWED = new Set([
  ...[
    '0BSD',
    'Apache-2.0',
    'BlueOak-1.0.0',
    'BSD-2-Clause',
    'BSD-3-Clause',
    'CC-BY-3.0',
    'CC-BY-4.0',
    'CC0-1.0',
  ],
  ...['ISC', 'MIT', 'MIT-0', 'Python-2.0', 'Unlicense', 'Zlib'],
]);

/**
 * Packages whose LGPL is permitted: sharp loads libvips as a shared library, which the operator can replace. Both are
 * optional.
 */
const LINKED = /^@img\/sharp-/;
const LGPL = 'LGPL-3.0-or-later';

/** Packages that state their licence only in their readme. */
const IN_README = new Map([['combine-errors', 'MIT']]);

/** Programs of the tests, never distributed: each with a licence that permits their use as they are. */
const IN_TESTS = new Map([['axe-core', 'MPL-2.0']]);

/** npm's bill of materials of the lock file. */
function billOfMaterials() {
  const text = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return JSON.parse(text);
}

function isDevelopment({ properties = [] }) {
  return properties.some(({ name }) => name === 'cdx:npm:package:development');
}

/** Its production part. `--omit dev` alone also omits packages that both parts need. */
function inProduction(bill) {
  const components = bill.components.filter((component) => !isDevelopment(component));
  const kept = new Set([bill.metadata.component, ...components].map((component) => component['bom-ref']));
  const dependencies = bill.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) }));
  return { ...bill, components, dependencies };
}

/**
 * True for an expression such as `(MIT OR GPL-3.0)` with a permitted choice, or `A AND B` of permitted licences.
 */
function mayUse(expression, packageName) {
  const plain = expression.replaceAll(/[()]/g, '');
  const isAllowed = (licence) => ALLOWED.has(licence) || (licence === LGPL && LINKED.test(packageName));
  return plain.split(' OR ').some((choice) => choice.split(' AND ').every((name) => isAllowed(name.trim())));
}

/** The licence of a package as an SPDX expression. */
function licenceOf({ name, licenses = [] }) {
  if (licenses.length === 0) return IN_README.get(name) ?? '';
  return licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name).join(' AND ');
}

/** The name of a component with its scope. */
function fullNameOf({ name, group }) {
  return group ? `${group}/${name}` : name;
}

const bill = billOfMaterials();
const refused = bill.components
  .filter(({ purl }) => !purl.includes('%40asset-service'))
  .filter((component) => !mayUse(licenceOf(component), fullNameOf(component)))
  .filter((component) => IN_TESTS.get(component.name) !== licenceOf(component) || !isDevelopment(component));
for (const component of refused) {
  console.error(
    `${component.name}@${component.version}: licence "${licenceOf(component)}" is not among those allowed`,
  );
}

const production = inProduction(bill);
mkdirSync(join(root, 'dist'), { recursive: true });
writeFileSync(join(root, 'dist', 'sbom.cdx.json'), JSON.stringify(production, null, 2));
console.log(`dist/sbom.cdx.json: ${production.components.length} components in production`);

const audit = spawnSync('npm', ['audit', '--omit', 'dev', '--audit-level', 'high', '--json'], {
  cwd: root,
  encoding: 'utf8',
});
const answer = JSON.parse(audit.stdout || '{}');
const answered = answer.metadata?.vulnerabilities !== undefined;
if (answered) console.log('npm audit:', JSON.stringify(answer.metadata.vulnerabilities));
else console.log('npm audit: not asked, since this registry does not answer it');

exit(refused.length > 0 || (answered && audit.status !== 0) ? 1 : 0);
