import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { checkConfig, loadConfig } from '../../src/config/config.ts';
import type { Option } from '../../src/config/options/option.ts';
import { OPTIONS } from '../../src/config/options/options.ts';

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

  it('refuses unknown field names and two values in one field', () => {
    const login = { _URL: 'http://127.0.0.1:1', _EMAIL: 'a@example.com', _PASSWORD: 'x' };
    const told = (fields: string, hidden = '') =>
      mistakesOf({
        ASSET_CATALOG: 'pocketbase',
        ...Object.fromEntries(Object.entries(login).map(([key, value]) => [`ASSET_POCKETBASE${key}`, value])),
        ASSET_POCKETBASE_FIELDS: fields,
        ASSET_POCKETBASE_HIDDEN_FIELDS: hidden,
      });
    for (const good of ['{}', '{"name":"title","createTime":"made","content_type":"type"}']) {
      expect(told(good)).toEqual([]);
    }
    const cases: [fields: string, hidden: string, mistake: RegExp][] = [
      ['{"nmae":"title"}', '', /"nmae" is no field of a file; the fields are name, content_type, .*revision/],
      ['{"toString":"title"}', '', /"toString" is no field of a file/],
      ['{"name":"owner"}', '', /name and owner would both be in the field "owner"/],
      ['{"name":"a","usage":"a"}', '', /name and usage would both be in the field "a"/],
      ['{"content_type":"a","contentType":"b"}', '', /"content_type" and "contentType" are the same/],
      ['{"name":"id"}', '', /"name" cannot be "id"/],
      ['{"name":"a b"}', '', /"a b" is no name of a field/],
      ['{"name":"url"}', 'url', /name is in the field "url", which is in ASSET_POCKETBASE_HIDDEN_FIELDS/],
      ['{}', 'link, owner', /owner is in the field "owner", which is in ASSET_POCKETBASE_HIDDEN_FIELDS/],
      ['{"name":7}', '', /must give names of fields as text/],
      ['{"name":""}', '', /not empty/],
      ['["name"]', '', /must be JSON such as/],
      ['"name"', '', /must be JSON such as/],
      ['null', '', /must be JSON such as/],
    ];
    for (const [fields, hidden, mistake] of cases) {
      expect([fields, told(fields, hidden)]).toEqual([fields, [expect.stringMatching(mistake)]]);
      expect(told(fields, hidden)[0]).toMatch(/^ASSET_POCKETBASE_FIELDS: /);
    }
    expect(mistakesOf({ ASSET_POCKETBASE_DEFAULTS: '[]' })).toEqual([
      expect.stringMatching(/^ASSET_POCKETBASE_DEFAULTS: must be JSON such as/),
    ]);
    expect(mistakesOf({ ASSET_POCKETBASE_COLLECTION: 'a/b' }).join()).toMatch(
      /^ASSET_POCKETBASE_COLLECTION: /,
    );
  });

  it('names malformed principals of certificates whatever identifies callers', () => {
    expect(mistakesOf({ ASSET_MTLS_PRINCIPALS: '{"a":' })).toEqual(['ASSET_MTLS_PRINCIPALS: is not JSON']);
  });

  it('names what a choice requires', () => {
    const mistakes = mistakesOf({ ASSET_STORE: 's3', ASSET_CATALOG: 'pocketbase' });
    expect(mistakes).toHaveLength(4);
    expect(mistakes.join()).toMatch(/ASSET_S3_BUCKET.*ASSET_POCKETBASE_URL.*_EMAIL.*_PASSWORD/);
  });

  it.each([
    [{ ASSET_S3_BUCKET: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/files' }, []],
    [{ ASSET_S3_DUAL_STACK: 'true', ASSET_S3_ACCELERATE: 'true' }, []],
    [{ ASSET_S3_DUAL_STACK: 'false', ASSET_S3_ENDPOINT: 'http://localhost' }, []],
    [{ ASSET_S3_DUAL_STACK: 'true', ASSET_S3_ENDPOINT: 'http://localhost' }, ['ASSET_S3_DUAL_STACK']],
    [{ ASSET_S3_ACCELERATE: 'true', ASSET_S3_ENDPOINT: 'http://localhost' }, ['ASSET_S3_ACCELERATE']],
    [{ ASSET_S3_ACCELERATE: 'true', ASSET_S3_FORCE_PATH_STYLE: 'true' }, ['ASSET_S3_ACCELERATE']],
    [{ ASSET_S3_ACCELERATE: 'true', ASSET_S3_BUCKET: 'a.b' }, ['ASSET_S3_ACCELERATE']],
    [{ ASSET_S3_BUCKET: 'arn:aws:s3:us-east-1:123456789012:accesspoint/files' }, ['ASSET_S3_BUCKET']],
    [{ ASSET_S3_BUCKET: 'arn:aws:s3::123456789012:accesspoint/files.mrap' }, ['ASSET_S3_BUCKET']],
    [{ ASSET_S3_BUCKET: 'arn:aws:s3:::files' }, ['ASSET_S3_BUCKET']],
    [{ ASSET_S3_BUCKET: 'files--euw1-az1--x-s3' }, ['ASSET_S3_BUCKET']],
    [
      {
        ASSET_S3_BUCKET: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/files',
        ASSET_S3_PUBLIC_ENDPOINT: 'http://localhost',
      },
      ['ASSET_S3_BUCKET'],
    ],
  ])('takes addresses of S3 that the driver can use: %j', (given, names) => {
    const s3 = { ASSET_STORE: 's3', ASSET_S3_BUCKET: 'files', ASSET_S3_REGION: 'eu-west-1' };
    const mistakes = mistakesOf({ ...s3, ...given });
    expect(mistakes.map((mistake) => mistake.split(':', 1)[0])).toEqual(names);
  });

  it('never prints a secret', () => {
    const mistakes = mistakesOf({ ASSET_POSTGRES_URL: 'hunter2', ASSET_URL_SIGNING_KEY: 'short-secret' });
    expect(mistakes).toHaveLength(2);
    expect(mistakes.join()).not.toMatch(/hunter2|short-secret/);
  });

  it.each([
    'ftp://ann:hunter2@keys.example/',
    'http//ann:hunter2@keys.example/',
    'https://ann:hun/ter2@keys.example:x',
    'https://hunter2@keys.example:99999/',
    'ann:hunter2@keys.example:1',
    'https//keys.example/?token=hunter2&x=hunter2',
    'file://hunter2@/keys?token=hunter2',
  ])('never prints a password in %s', (value) => {
    const names = [
      ...['ASSET_OIDC_ISSUER', 'ASSET_POCKETBASE_URL', 'ASSET_S3_ENDPOINT', 'ASSET_S3_PUBLIC_ENDPOINT'],
      ...['ASSET_PUBLIC_URL', 'ASSET_POSTGRES_URL', 'ASSET_CLAMD_ADDRESS', 'ASSET_LISTEN', 'ASSET_STORE'],
    ];
    const mistakes = mistakesOf(Object.fromEntries(names.map((name) => [name, value])));
    expect(mistakes.length).toBeGreaterThan(5);
    const keys = [...mistakesOf({ ASSET_AUTH: 'oidc', ASSET_OIDC_JWKS: value })];
    for (const name of [
      'ASSET_POLICY_FILE',
      'ASSET_MTLS_PRINCIPALS',
      'ASSET_TLS_CERT',
      'ASSET_CONFIG_FILE',
    ]) {
      keys.push(...mistakesOf({ [name]: value }));
    }
    expect(keys.length).toBeGreaterThan(3);
    expect([...mistakes, ...keys].join()).not.toMatch(/hunter2|ter2/);
  });

  it('takes the catalog that a move goes to from settings with NEXT_', () => {
    expect(loadConfig({}).next).toBeUndefined();
    const { catalog, next } = loadConfig({
      ...{ ASSET_CATALOG: 'pocketbase', ASSET_POCKETBASE_URL: 'http://pb', ASSET_POCKETBASE_EMAIL: 'a@b.c' },
      ...{ ASSET_POCKETBASE_PASSWORD: 'p', ASSET_NEXT_CATALOG: 'postgres' },
      ...{ ASSET_NEXT_POSTGRES_URL: 'postgres://db/files', ASSET_NEXT_POSTGRES_CONNECTIONS: '3' },
    });
    expect(next?.catalog).toEqual({ kind: 'postgres', url: 'postgres://db/files' });
    expect(next?.settings.ASSET_POSTGRES_CONNECTIONS).toBe(3);
    // For the way back.
    expect(catalog).toMatchObject({ kind: 'pocketbase', pocketbase: { takesImports: true } });
  });

  it('names the settings with NEXT_ in which there is a mistake', () => {
    const url = 'postgres://db/files';
    const cases: [Record<string, string>, readonly string[]][] = [
      [
        { ASSET_NEXT_CATALOG: 'pocketbase' },
        ['_POCKETBASE_URL', '_POCKETBASE_EMAIL', '_POCKETBASE_PASSWORD'],
      ],
      [{ ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: 'x' }, ['_POSTGRES_URL']],
      [{ ASSET_NEXT_CATALOG: 'tape' }, ['_CATALOG']],
      [{ ASSET_NEXT_CATALOG: 'sqlite' }, ['_DATA_DIR']],
      [
        {
          ...{ ASSET_CATALOG: 'postgres', ASSET_POSTGRES_URL: url },
          ...{ ASSET_NEXT_CATALOG: 'postgres', ASSET_NEXT_POSTGRES_URL: url },
        },
        ['_POSTGRES_URL'],
      ],
    ];
    for (const [environment, names] of cases) {
      const mistakes = mistakesOf(environment);
      expect(mistakes.map((line) => line.split(':')[0])).toEqual(names.map((name) => `ASSET_NEXT${name}`));
      expect(mistakes.join(' ')).not.toContain(`required with ASSET_CATALOG`);
    }
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
    expect(mistakesOf({ ASSET_POLICY_FILE: file('empty.json', '') })).toEqual([
      'ASSET_POLICY_FILE: is not JSON',
    ]);
    const oidc = { ASSET_AUTH: 'oidc', ASSET_OIDC_ISSUER: 'https://id', ASSET_OIDC_AUDIENCE: 'a' };
    expect(mistakesOf({ ...oidc, ASSET_OIDC_JWKS: file('none.json', '') }).join()).toMatch(/ASSET_OIDC_JWKS/);
    const path = file('ok.json', '\uFEFF{"usages":{"avatar":{"maxSizeBytes":10}}}\r\n');
    const { policies } = loadConfig({ ASSET_POLICY_FILE: path });
    expect(policies.of('avatar').maxSizeBytes).toBe(10);
    expect(() => policies.of('other')).toThrow(expect.objectContaining({ reason: 'USAGE_UNKNOWN' }));
  });

  it('refuses addresses that cannot work', () => {
    expect(mistakesOf({ ASSET_LISTEN: '[::1]:8080', ASSET_METRICS_LISTEN: '[::1]:8080' })).toEqual([
      'ASSET_METRICS_LISTEN: is the address of ASSET_LISTEN: give another port',
    ]);
    loadConfig({ ASSET_LISTEN: '[::1]:0', ASSET_METRICS_LISTEN: '[::1]:0' });
    for (const url of ['https://files.example/?a=1', 'https://files.example/#a']) {
      expect(mistakesOf({ ASSET_PUBLIC_URL: url }).join()).toMatch(
        /^ASSET_PUBLIC_URL: must be a URL without/,
      );
    }
    expect(mistakesOf({ ASSET_CLAMD_ADDRESS: 'clamd:0' }).join()).toMatch(
      /^ASSET_CLAMD_ADDRESS: must have a/,
    );
  });

  it('reports missing identity settings by name', () => {
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
    const path = file('secret', '\uFEFFa-secret-of-more-than-32-characters\r\n');
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

  describe('checked before a start', () => {
    const doubtsOf = (environment: Record<string, string>): readonly string[] => {
      try {
        checkConfig(environment);
      } catch (error) {
        return (error as { mistakes: readonly string[] }).mistakes;
      }
      return [];
    };

    it('counts a name that is no setting as a mistake, and says what was perhaps meant', () => {
      expect(doubtsOf({ ASSET_LISTN: 'x' })).toEqual([
        'ASSET_LISTN: is no setting of the service: did you mean ASSET_LISTEN?',
      ]);
      expect(doubtsOf({ ASSET_BUCKET: 'x' }).join()).toContain('did you mean ASSET_S3_BUCKET?');
      expect(doubtsOf({ asset_store: 's3' }).join()).toContain('did you mean ASSET_STORE?');
      expect(doubtsOf({ ASSET_COFFEE_MACHINE: 'x' })).toEqual([
        'ASSET_COFFEE_MACHINE: is no setting of the service',
      ]);
      // It is not the secret itself that may stand in a file.
      expect(doubtsOf({ ASSET_LISTEN_FILE: '/x' })).toHaveLength(1);
    });

    it('ignores variables of other programs', () => {
      expect(
        doubtsOf({
          ...{ ASSET_URL: 'http://x', ASSET_TOKEN: 'x', ASSET_TOKEN_FILE: '/x', ASSET_TEST_S3_ENDPOINT: 'x' },
          // Kubernetes tells each container of a Service called "asset-service".
          ...{ ASSET_SERVICE_SERVICE_HOST: '10.0.0.1', ASSET_SERVICE_SERVICE_PORT_GRPC: '80' },
          ...{ ASSET_SERVICE_PORT: 'tcp://10.0.0.1:80', ASSET_SERVICE_PORT_80_TCP_ADDR: '10.0.0.1' },
        }),
      ).toEqual([]);
      expect(doubtsOf({ ASSET_PORT: '9000' })).toHaveLength(1);
    });

    it('names the lines of a file that are without effect or misleading, without their text', () => {
      const lines = [
        '# comment',
        'export ASSET_LOG_LEVEL = warn # comment',
        'ASSET_LISTEN: 127.0.0.1:80 hunter2',
        'hunter2',
        'ASSET_POCKETBASE_PASSWORD=hunter2#3',
        'ASSET_S3_BUCKET=`hunter2',
        "ASSET_POLICY_FILE='' hunter2",
        'ASSET_POCKETBASE_FIELDS=\'{"name":',
        '  "hunter2#3"}\'',
        'ASSET_LOG_LEVEL=info',
        'MY NAME=hunter2',
      ];
      expect(doubtsOf({ ASSET_CONFIG_FILE: file('doubts.env', `\uFEFF${lines.join('\r\n')}`) })).toEqual([
        'ASSET_CONFIG_FILE: line 3 is no NAME=value',
        'ASSET_CONFIG_FILE: line 4 is no NAME=value',
        expect.stringMatching(
          /line 5: "#" begins a comment: put the value of ASSET_POCKETBASE_PASSWORD into/,
        ),
        'ASSET_CONFIG_FILE: line 6: the quotation mark is never closed',
        'ASSET_CONFIG_FILE: line 7: something follows the quotation mark',
        'ASSET_CONFIG_FILE: line 10 sets ASSET_LOG_LEVEL again, after line 2',
        'ASSET_CONFIG_FILE: line 11 is no NAME=value',
      ]);
    });

    it('reports it beside the mistakes, and a start only warns of it', () => {
      const path = file('both.env', 'nonsense\nASSET_STORE=tape\n');
      expect(
        doubtsOf({ ASSET_CONFIG_FILE: path, ASSET_LISTN: 'x' }).map((line) => line.split(':')[0]),
      ).toEqual([...['ASSET_CONFIG_FILE', 'ASSET_LISTN', 'ASSET_STORE']]);
      const bad = file('bad.env', 'nonsense\nAWS_ACCESS_KEY_ID=key\nAWS_REGION=file\n');
      const config = loadConfig({ ASSET_CONFIG_FILE: bad, ASSET_LISTN: 'x', AWS_REGION: 'environment' });
      expect(config.doubts).toHaveLength(2);
      expect(config.foreign).toEqual({ AWS_ACCESS_KEY_ID: 'key' });
    });
  });
});
