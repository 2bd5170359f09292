/** The npm packages of this repository that are published. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');

/** Content of a package.json. */
export const manifestOf = (folder) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8'));

/** Folders of the published npm packages; each comes after those it depends on. */
export function npmPackages() {
  const folders = manifestOf('.').workspaces.filter((folder) => manifestOf(folder).private !== true);
  const nameOf = new Map(folders.map((folder) => [manifestOf(folder).name, folder]));
  const sorted = new Set();
  const add = (folder) => {
    if (sorted.has(folder)) return;
    for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
      if (nameOf.has(name)) add(nameOf.get(name));
    }
    sorted.add(folder);
  };
  folders.forEach(add);
  return [...sorted];
}

/**
 * What a package.json lacks for publishing with a proof of its origin: npm compares `repository` with the repository in
 * which the build ran.
 */
export function manifestProblems(folder) {
  const manifest = manifestOf(folder);
  const { url } = manifestOf('.').repository;
  const problems = [];
  if (manifest.repository?.url !== url) problems.push(`repository.url is not ${url}`);
  if (manifest.repository?.directory !== folder) problems.push(`repository.directory is not ${folder}`);
  if (manifest.publishConfig?.access !== 'public') problems.push('publishConfig.access is not public');
  if (manifest.license !== manifestOf('.').license) problems.push('license is not that of the repository');
  if (!manifest.description) problems.push('description is missing');
  return problems.map((problem) => `${folder}/package.json: ${problem}`);
}
