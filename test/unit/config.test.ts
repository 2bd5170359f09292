import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import type { Option } from '../../src/options/types.ts';
import { OPTIONS } from '../../src/options.ts';

const dir = mkdtempSync(join(tmpdir(), 'asset-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

function mistakesOf(environment: Record<string, string>): readonly string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    return (error as { mistakes: readonly string[] }).mistakes;
  }
  return [];
}

describe('configuration', () => {
  it('runs embedded on loopback with nothing set', () => {
    const config = loadConfig({});
    expect(config.store.kind).toBe('filesystem');
    expect(config.catalog.kind).toBe('sqlite');
    expect(config.settings.ASSET_LISTEN).toEqual({ host: '127.0.0.1', port: 8080 });
    expect(config.settings.ASSET_UPLOAD_PART_SIZE).toBe(8 * 2 ** 20);
    expect(config.settings.ASSET_DRAIN_TIMEOUT).toBe(30_000);
  });

  it('reports every mistake at once, by name', () => {
    const mistakes = mistakesOf({
      ASSET_LISTEN: 'nowhere',
      ASSET_STORE: 'tape',
      ASSET_MAX_UPLOADS: 'many',
      ASSET_POCKETBASE_FIELDS: '{',
      ASSET_UPLOAD_PART_SIZE: '1KiB',
    });
    expect(mistakes.map((line) => line.split(':')[0])).toEqual([
      'ASSET_LISTEN',
      'ASSET_STORE',
      'ASSET_POCKETBASE_FIELDS',
      'ASSET_MAX_UPLOADS',
      'ASSET_UPLOAD_PART_SIZE',
    ]);
  });

  it('names what a choice requires', () => {
    const mistakes = mistakesOf({ ASSET_STORE: 's3', ASSET_CATALOG: 'pocketbase' });
    expect(mistakes).toHaveLength(4);
    expect(mistakes.join()).toMatch(/ASSET_S3_BUCKET.*ASSET_POCKETBASE_URL.*_EMAIL.*_PASSWORD/);
  });

  it('never prints a secret', () => {
    const mistakes = mistakesOf({ ASSET_POSTGRES_URL: 'hunter2', ASSET_URL_SIGNING_KEY: 'short-secret' });
    expect(mistakes).toHaveLength(2);
    expect(mistakes.join()).not.toMatch(/hunter2|short-secret/);
  });

  it('never listens beyond loopback without identity', () => {
    expect(mistakesOf({ ASSET_LISTEN: '0.0.0.0:80' }).join()).toMatch(/ASSET_LISTEN: .*loopback/);
    expect(mistakesOf({ ASSET_LISTEN: '127.evil.example:80' }).join()).toMatch(/loopback/);
    expect(mistakesOf({ ASSET_LISTEN: '[::1]:80' })).toEqual([]);
  });

  it('reads a file, which the environment overrules', () => {
    const path = file('service.env', 'ASSET_LOG_LEVEL=warn\nASSET_MAX_UPLOADS=7\n');
    const { settings } = loadConfig({ ASSET_CONFIG_FILE: path, ASSET_MAX_UPLOADS: '9' });
    expect(settings.ASSET_LOG_LEVEL).toBe('warn');
    expect(settings.ASSET_MAX_UPLOADS).toBe(9);
    expect(mistakesOf({ ASSET_CONFIG_FILE: join(dir, 'none') }).join()).toMatch(/ASSET_CONFIG_FILE.*ENOENT/);
  });

  it('checks the files that it names', () => {
    expect(mistakesOf({ ASSET_TLS_CERT: join(dir, 'none') })).toEqual([
      expect.stringMatching(/^ASSET_TLS_CERT: cannot be read: ENOENT/),
      'ASSET_TLS_KEY: is required with ASSET_TLS_CERT',
    ]);
    expect(
      mistakesOf({ ASSET_POLICY_FILE: file('p.json', '{"usages":{"a":{"maxSize":1}}}') }).join(),
    ).toMatch(/ASSET_POLICY_FILE.*maxSize/);
    const path = file('ok.json', '{"usages":{"avatar":{"maxSizeBytes":10}}}');
    const { policies } = loadConfig({ ASSET_POLICY_FILE: path });
    expect(policies.of('avatar').maxSizeBytes).toBe(10);
    expect(() => policies.of('other')).toThrow(expect.objectContaining({ reason: 'USAGE_UNKNOWN' }));
  });

  it('reports what is missing for who calls, by name', () => {
    const namesOf = (environment: Record<string, string>) =>
      mistakesOf(environment)
        .map((line) => line.split(':')[0])
        .sort();
    expect(namesOf({ ASSET_AUTH: 'oidc' })).toEqual(['ASSET_OIDC_AUDIENCE', 'ASSET_OIDC_ISSUER']);
    expect(namesOf({ ASSET_AUTH: 'mtls' })).toEqual([
      'ASSET_MTLS_PRINCIPALS',
      'ASSET_TLS_CERT',
      'ASSET_TLS_CLIENT_CA',
      'ASSET_TLS_KEY',
    ]);
    const oidc = {
      ASSET_AUTH: 'oidc',
      ASSET_OIDC_ISSUER: 'https://issuer.example/',
      ASSET_OIDC_AUDIENCE: 'a',
    };
    expect(loadConfig({ ...oidc, ASSET_LISTEN: '0.0.0.0:80' }).identity).toMatchObject({
      kind: 'oidc',
      oidc: { issuer: 'https://issuer.example/', audience: 'a', clockSkewMs: 30_000, subjectClaim: 'sub' },
    });
    for (const content of ['{', '{}', '{"keys":[]}', '[]', 'null']) {
      expect(namesOf({ ...oidc, ASSET_OIDC_JWKS: file('keys.json', content) })).toEqual(['ASSET_OIDC_JWKS']);
    }
    expect(namesOf({ ...oidc, ASSET_OIDC_JWKS: join(dir, 'none') })).toEqual(['ASSET_OIDC_JWKS']);
    expect(
      namesOf({ ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: 'issuer', ASSET_OIDC_CLOCK_SKEW: '9999' }),
    ).toEqual(['ASSET_OIDC_CLOCK_SKEW', 'ASSET_OIDC_ISSUER']);
    expect(namesOf({ ASSET_AUTH: 'basic' })).toEqual(['ASSET_AUTH']);
    for (const principals of [
      '{',
      '{"worker":{"id":"w","roles":[]}}',
      '{"CN:w":{"id":"w","roles":["boss"]}}',
      '{"CN:w":{}}',
    ]) {
      expect(namesOf({ ASSET_AUTH: 'mtls', ASSET_MTLS_PRINCIPALS: principals })).toContain(
        'ASSET_MTLS_PRINCIPALS',
      );
    }
    const bad = file('bad.pem', 'no certificate');
    expect(namesOf({ ASSET_TLS_CERT: bad, ASSET_TLS_KEY: bad })).toEqual(['ASSET_TLS_CERT']);
    expect(namesOf({ ASSET_TLS_CLIENT_CA: bad })).toContain('ASSET_TLS_CLIENT_CA');
  });

  it('reads every secret from a file as well', () => {
    const path = file('secret', 'a-secret-of-more-than-32-characters\n');
    expect(loadConfig({ ASSET_URL_SIGNING_KEY_FILE: path })).toMatchObject({
      settings: { ASSET_URL_SIGNING_KEY: 'a-secret-of-more-than-32-characters' },
      unknownNames: [],
    });
    for (const [name, { secret }] of Object.entries<Option>(OPTIONS)) {
      const unknown = loadConfig({ [`${name}_FILE`]: '' }).unknownNames;
      expect([name, unknown]).toEqual([name, secret ? [] : [`${name}_FILE`]]);
      if (!secret) continue;
      const both = mistakesOf({ [name]: 'x', [`${name}_FILE`]: path });
      expect(both.join()).toContain(`${name}_FILE: cannot be set together with ${name}`);
      expect(mistakesOf({ [`${name}_FILE`]: join(dir, 'none') }).join()).toMatch(
        `${name}_FILE: cannot be read: ENOENT`,
      );
      // A wrong secret is not shown either when it comes from a file.
      const wrong = mistakesOf({ [`${name}_FILE`]: file('wrong', 'hunter2') });
      expect(wrong.join()).not.toContain('hunter2');
    }
  });

  it('tells which names are no settings', () => {
    expect(loadConfig({ ASSET_LISTN: 'x', ASSET_TEST_S3: 'y', PATH: 'z' }).unknownNames).toEqual([
      'ASSET_LISTN',
    ]);
  });
});
