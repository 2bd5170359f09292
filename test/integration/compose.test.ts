import { beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { composeText, composeVariables, fillIn, parseCompose } from '../support/compose.ts';
import { ROOT, serverProgram } from '../support/install.ts';
import { makeDir, removeDir } from '../support/process.ts';

const VALUES = {
  S3_ACCESS_KEY_ID: 'compose-key',
  S3_SECRET_ACCESS_KEY: 'compose-secret',
  POCKETBASE_EMAIL: 'service@example.com',
  POCKETBASE_PASSWORD: 'compose-password',
  KEYCLOAK_ADMIN_PASSWORD: 'compose-admin-password',
  KEYCLOAK_BFF_SECRET: 'compose-bff-secret',
  KEYCLOAK_WORKER_SECRET: 'compose-worker-secret',
  KEYCLOAK_USER_PASSWORD: 'compose-user-password',
};

const text = composeText();
const filledIn = fillIn(text, VALUES);
const { services } = parseCompose(filledIn);

describe('docker-compose.yml', () => {
  it('reads the variables that .env.example names, and has no password of its own', () => {
    const example = parseEnv(readFileSync(join(ROOT, '.env.example'), 'utf8'));
    const variables = composeVariables(text);
    expect(Object.keys(example).sort()).toEqual(variables.map(({ name }) => name).sort());
    const required = variables.filter((variable) => variable.required).map(({ name }) => name);
    expect(required.sort()).toEqual(Object.keys(VALUES).sort());
    for (const name of required) expect([name, example[name]]).toEqual([name, '']);
  });

  it.each(Object.keys(VALUES))('is refused without %s', (name) => {
    expect(() => fillIn(text, { ...VALUES, [name]: '' })).toThrow(name);
  });

  it('publishes ports on the loopback alone', () => {
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports).toEqual([
      '127.0.0.1:8080:8080',
      '127.0.0.1:8333:8333',
      '127.0.0.1:8090:8090',
      '127.0.0.1:8180:8080',
    ]);
  });

  it('watches the health of what runs on, and waits for it', () => {
    for (const [name, service] of Object.entries(services)) {
      const runsOn = service.restart === 'unless-stopped';
      expect([name, runsOn, service.healthcheck !== undefined]).toEqual([name, runsOn, runsOn]);
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        const once = services[other]?.restart === 'no';
        expect(condition).toBe(once ? 'service_completed_successfully' : 'service_healthy');
      }
    }
    expect(Object.keys(services['asset-service']?.depends_on ?? {})).toEqual([
      'bucket',
      'seaweedfs',
      'pocketbase',
      'keycloak',
      'clamav',
    ]);
  });

  it('scans files with a ClamAV where its profile is on, and is whole without it', () => {
    const withProfile = Object.entries(services).filter(([, { profiles }]) => profiles !== undefined);
    expect(withProfile.map(([name, { profiles }]) => [name, profiles])).toEqual([['clamav', ['clamav']]]);
    for (const [name, { depends_on }] of Object.entries(services)) {
      for (const [other, { required = true }] of Object.entries(depends_on ?? {})) {
        expect([name, other, required]).toEqual([name, other, services[other]?.profiles === undefined]);
      }
    }
    const addressWith = (values: Record<string, string>) =>
      parseCompose(fillIn(text, { ...VALUES, ...values })).services['asset-service']?.environment?.[
        'ASSET_CLAMD_ADDRESS'
      ];
    expect(addressWith({})).toBe('');
    // The address that is told to whoever turns it on is that of the container.
    const told = /^# .*: (\S+) with `docker compose --profile clamav up`/m.exec(
      readFileSync(join(ROOT, '.env.example'), 'utf8'),
    )?.[1];
    expect(told).toBe('clamav:3310');
    expect(addressWith({ ASSET_CLAMD_ADDRESS: told! })).toBe(told);
  });

  it('pins its images', () => {
    for (const [name, { image, build }] of Object.entries(services)) {
      if (build !== undefined) continue;
      // Signatures of malware are renewed in this one under the same tag.
      const pinned = name.startsWith('clamav') ? /:\d+\.\d+/ : /:\d+\.\d+\.?\d*@sha256:[0-9a-f]{64}$/;
      expect([name, image]).toEqual([name, expect.stringMatching(pinned)]);
    }
  });

  it('asks callers for tokens of its own Keycloak, whose realm holds no secret', () => {
    const { ASSET_AUTH, ASSET_OIDC_ISSUER, ASSET_OIDC_AUDIENCE } =
      services['asset-service']?.environment ?? {};
    expect([ASSET_AUTH, ASSET_OIDC_AUDIENCE]).toEqual(['oidc', 'asset-service']);
    const realm = readFileSync(
      join(ROOT, parseCompose(text).configs['keycloak-realm.json']?.file ?? ''),
      'utf8',
    );
    const { KC_HOSTNAME, ...environment } = services['keycloak']?.environment ?? {};
    expect(`${KC_HOSTNAME}/realms/${(JSON.parse(realm) as { realm: string }).realm}`).toBe(ASSET_OIDC_ISSUER);
    const secrets = [...realm.matchAll(/"(?:secret|value)": "([^"]*)"/g)].map(([, value]) => value);
    expect(secrets).toHaveLength(3);
    for (const secret of secrets) {
      const name = /^\$\{(\w+)\}$/.exec(secret ?? '')?.[1] ?? '';
      expect([secret, environment[name]]).toEqual([secret, expect.stringMatching(/^compose-/)]);
    }
  });

  it('lets SeaweedFS know one identity, for one bucket', () => {
    const { configs } = parseCompose(filledIn);
    const { identities } = JSON.parse(configs['s3.json']?.content ?? '') as { identities: unknown[] };
    expect(identities).toEqual([
      {
        name: 'asset-service',
        credentials: [{ accessKey: VALUES.S3_ACCESS_KEY_ID, secretKey: VALUES.S3_SECRET_ACCESS_KEY }],
        actions: ['Read:files', 'Write:files', 'List:files'],
      },
    ]);
  });
});

const composeGo = await serverProgram('compose-go').catch((error: unknown) => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
});
const describeWithGo = composeGo === undefined ? describe.skip : describe;

describeWithGo(
  `docker-compose.yml in the eyes of compose-go${composeGo ? '' : ' (no Go to build it with)'}`,
  () => {
    /** Runs compose-go on a text in a directory of its own, without this process's environment. */
    async function check(compose: string, ...options: string[]): Promise<string> {
      const dir = await makeDir('compose');
      try {
        await writeFile(join(dir, 'docker-compose.yml'), compose);
        const args = [...options, '-format=json', 'docker-compose.yml'];
        const { stdout } = await promisify(execFile)(composeGo ?? '', args, { cwd: dir, env: {} });
        return stdout;
      } finally {
        await removeDir(dir);
      }
    }

    let model: ReturnType<typeof parseCompose>;
    beforeAll(async () => {
      model = JSON.parse(await check(filledIn)) as typeof model;
    });

    it('is valid', () => {
      expect(Object.keys(model.services).sort()).toEqual(Object.keys(services).sort());
    });

    it('means what these tests read in it', () => {
      for (const [name, service] of Object.entries(services)) {
        expect(model.services[name]?.environment ?? {}).toEqual(service.environment ?? {});
        expect(model.services[name]?.command ?? []).toEqual(service.command ?? []);
      }
    });

    it('names every variable that is not set', async () => {
      const said = await check(text).then(
        () => 'valid',
        (error: { stderr: string }) => error.stderr,
      );
      for (const name of Object.keys(VALUES)) {
        expect(said).toContain(`required variable ${name} is missing a value: set it in .env`);
      }
    });

    it('is refused with a mistake in it', async () => {
      await expect(check(filledIn.replace('healthcheck:', 'helthcheck:'))).rejects.toMatchObject({
        stderr: expect.stringContaining('helthcheck'),
      });
    });
  },
);
