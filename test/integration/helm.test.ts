import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { Option } from '../../src/config/options/option.ts';
import { OPTIONS } from '../../src/config/options/options.ts';
import { isInstalled, ROOT, serverProgram } from '../support/install.ts';
import { allRules, MONITORING, type Rule } from '../support/monitoring.ts';
import { makeDir, removeDir } from '../support/process.ts';

const CHART = join(ROOT, 'deploy', 'helm');

/** Versions of Kubernetes that the chart is checked against. */
const VERSIONS = ['1.33', '1.34', '1.35', '1.36', '1.37'];

// Helm takes minutes to build: only by request, or if it is there.
const canHelm = isInstalled('helm') || process.env['ASSET_TEST_HELM'] === 'full';
const helm = canHelm ? await serverProgram('helm') : undefined;
const withHelm = helm === undefined ? it.skip : it;
const why = helm === undefined ? ' (no helm: ASSET_TEST_HELM=full builds it)' : '';

interface Container {
  readonly env?: readonly { readonly name: string }[];
  readonly args: readonly string[];
  readonly envFrom: readonly { readonly configMapRef: { readonly name: string } }[];
  readonly readinessProbe: object;
  readonly livenessProbe: object;
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Pod {
  readonly spec: {
    readonly terminationGracePeriodSeconds: number;
    readonly securityContext: object;
    readonly containers: readonly Container[];
    readonly volumes: readonly { readonly name: string }[];
  };
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
}

/** An object of Kubernetes, as far as these tests read it. */
interface KubeObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> };
  readonly data: Readonly<Record<string, string>>;
  readonly spec: { readonly template: Pod; readonly replicas?: number } & Readonly<Record<string, unknown>>;
}

const BASE = { settings: { ASSET_S3_BUCKET: 'files' } };

const FULL = {
  settings: {
    ASSET_S3_BUCKET: 'files',
    ASSET_OIDC_ISSUER: 'https://issuer.example',
    ASSET_OIDC_AUDIENCE: 'a',
  },
  secretFiles: [{ setting: 'ASSET_POSTGRES_URL', secret: 'asset-postgres', key: 'url' }],
  awsCredentials: { secret: 'asset-s3' },
  policies: { usages: { avatar: {} } },
  tls: { secret: 'asset-tls' },
  metrics: { enabled: true, serviceMonitor: { enabled: true, labels: { release: 'prometheus' } } },
  autoscaling: { enabled: true },
  networkPolicy: {
    enabled: true,
    callers: [{ podSelector: { matchLabels: { app: 'bff' } } }],
    egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }],
  },
  serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/assets' } },
  imagePullSecrets: [{ name: 'registry' }],
  nodeSelector: { pool: 'general' },
  tolerations: [{ key: 'spot', operator: 'Exists' }],
  priorityClassName: 'high',
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' },
  ],
  extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca/ca.crt' }],
  extraEnvFrom: [{ secretRef: { name: 'asset-settings' } }],
  extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
  extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/ca', readOnly: true }],
  ingress: {
    grpc: { enabled: true, host: 'grpc.example', className: 'nginx', tlsSecret: 'grpc-tls' },
    http: { enabled: true, host: 'files.example', annotations: { note: 'text' } },
  },
  podLabels: { team: 'files' },
  podAnnotations: { note: 'text' },
};

async function withValues<T>(values: object, work: (file: string) => Promise<T>): Promise<T> {
  const dir = await makeDir('helm');
  try {
    const file = join(dir, 'values.json');
    await writeFile(file, JSON.stringify(values));
    return await work(file);
  } finally {
    await removeDir(dir);
  }
}

const run = (...args: string[]) => promisify(execFile)(helm!, args);

const render = (values: object) =>
  withValues(values, async (file) => {
    const args = ['template', 'assets', CHART, '--kube-version', '1.34.0', '-f', file];
    return (await run(...args)).stdout;
  });

async function objects(values: object): Promise<KubeObject[]> {
  return parseAllDocuments(await render(values)).map((document) => document.toJS() as KubeObject);
}

const one = (all: readonly KubeObject[], kind: string, name = 'assets') =>
  all.find((object) => object.kind === kind && object.metadata.name === name)!;

describe('the Helm chart', () => {
  withHelm(`passes helm lint${why}`, async () => {
    for (const values of [BASE, FULL]) {
      const { stdout } = await withValues(values, (file) => run('lint', '--strict', CHART, '-f', file));
      expect(stdout).toContain('0 chart(s) failed');
    }
  });

  withHelm(`makes valid objects for every version of Kubernetes, with and without TLS${why}`, async () => {
    const validate = await serverProgram('kubernetes-validate');
    const dir = await makeDir('kubernetes');
    try {
      const files = await Promise.all(
        [BASE, FULL, { ...FULL, tls: { secret: '' } }].map(async (values, at) => {
          const file = join(dir, `${at}.yaml`);
          await writeFile(file, await render(values));
          return file;
        }),
      );
      for (const version of VERSIONS) {
        const { stdout, stderr } = await promisify(execFile)(validate, ['--strict', '-k', version, ...files]);
        expect(stdout + stderr).not.toContain('ERROR');
        expect(stdout + stderr).toContain(`deployment/assets against version ${version}`);
      }
    } finally {
      await removeDir(dir);
    }
  });

  withHelm(`tells liveness from readiness, and drains before the end${why}`, async () => {
    const values = { ...BASE, drainSeconds: 60, preStopSeconds: 7, drainDelaySeconds: 20 };
    const all = await objects(values);
    const { spec } = one(all, 'Deployment').spec.template;
    const [container] = spec.containers;
    expect(container!.readinessProbe).toMatchObject({ grpc: { port: 8080 } });
    expect(container!.livenessProbe).toMatchObject({ grpc: { port: 8080, service: 'live' } });
    expect(container!.lifecycle.preStop.exec.command).toEqual(['sleep', '7']);
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(87);
    expect(one(all, 'ConfigMap').data).toMatchObject({
      ASSET_DRAIN_TIMEOUT: '60',
      ASSET_DRAIN_DELAY: '20',
      ASSET_CONNECTION_MAX_AGE: '600',
      ASSET_WARM_UP: '2',
    });
  });

  withHelm(`runs without root, capabilities and a writable root, with secrets as files${why}`, async () => {
    const all = await objects(FULL);
    for (const object of [one(all, 'Deployment'), one(all, 'Job', 'assets-migrate')]) {
      const { spec } = object.spec.template;
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true });
      expect(spec.containers[0]!.securityContext).toEqual({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      });
      const mounted = spec.containers[0]!.volumeMounts.map(({ name }) => name).sort();
      expect(mounted).toEqual(spec.volumes.map(({ name }) => name).sort());
    }
    const { data } = one(all, 'ConfigMap');
    expect(data).toMatchObject({
      ASSET_POSTGRES_URL_FILE: '/run/secrets/settings/ASSET_POSTGRES_URL',
      AWS_SHARED_CREDENTIALS_FILE: '/run/secrets/aws/credentials',
      ASSET_METRICS_LISTEN: '0.0.0.0:9464',
      ASSET_MIGRATE: 'false',
    });
    expect(JSON.parse(one(all, 'ConfigMap', 'assets-policies').data['policies.json']!)).toEqual(
      FULL.policies,
    );
  });

  withHelm(
    `restarts the pods for other settings alone, and leaves their number to the autoscaler${why}`,
    async () => {
      const checksum = async (values: object) => {
        const { metadata } = one(await objects(values), 'Deployment').spec.template;
        return metadata.annotations['checksum/settings'];
      };
      const before = await checksum(FULL);
      expect(await checksum({ ...FULL, policies: { usages: {} } })).toBe(before);
      expect(await checksum({ ...FULL, settings: { ...FULL.settings, ASSET_MAX_UPLOADS: '64' } })).not.toBe(
        before,
      );
      expect(one(await objects(FULL), 'Deployment').spec.replicas).toBeUndefined();
      expect(one(await objects(BASE), 'Deployment').spec.replicas).toBe(2);
    },
  );

  withHelm(`has no metrics, monitor, policy or autoscaler unless they are asked for${why}`, async () => {
    const kinds = (await objects(BASE)).map(({ kind }) => kind);
    expect([...new Set(kinds)].sort()).toEqual([
      ...['ConfigMap', 'Deployment', 'Job', 'PodDisruptionBudget', 'Service', 'ServiceAccount'],
    ]);
    expect(one(await objects(BASE), 'ConfigMap').data).not.toHaveProperty('ASSET_METRICS_LISTEN');
  });

  withHelm(`refuses what a pod would lose, and secrets among the settings${why}`, async () => {
    const refused = async (settings: object) => {
      const error: unknown = await render({ settings: { ...BASE.settings, ...settings } }).catch(
        (e: unknown) => e,
      );
      return String((error as { stderr?: string }).stderr);
    };
    expect(await refused({ ASSET_STORE: 'filesystem' })).toContain('settings.ASSET_STORE: must be s3');
    expect(await refused({ ASSET_CATALOG: 'sqlite' })).toContain('settings.ASSET_CATALOG: must be');
    expect(await refused({ ASSET_S3_BUCKET: '' })).toContain('settings.ASSET_S3_BUCKET: is required');
    const secrets = Object.entries<Option>(OPTIONS).flatMap(([name, { secret }]) => (secret ? [name] : []));
    expect(secrets.length).toBeGreaterThan(4);
    for (const name of [...secrets, 'AWS_SECRET_ACCESS_KEY']) {
      expect(await refused({ [name]: 'x' })).toContain(`settings.${name}: is a secret`);
    }
  });

  /** What helm says of values that it refuses. */
  const refusal = async (values: object) => {
    const error: unknown = await render({ ...BASE, ...values }).catch((e: unknown) => e);
    return String((error as { stderr?: string }).stderr);
  };

  withHelm.each([
    ['a negative number of replicas', { replicas: -1 }, "at '/replicas': minimum"],
    ['a key that does not exist', { replica: 2 }, "additional properties 'replica' not allowed"],
    ['a nested one', { tls: { sekret: 'x' } }, "at '/tls': additional properties 'sekret' not allowed"],
    ['a number as a text', { drainSeconds: '30' }, "at '/drainSeconds': got string, want integer"],
    ['a digest that is none', { image: { digest: 'abc' } }, "at '/image/digest'"],
    [
      'a disruption budget that blocks drains',
      { podDisruptionBudget: { maxUnavailable: 0 } },
      'maxUnavailable',
    ],
    [
      'a secret file without a key',
      { secretFiles: [{ setting: 'A', secret: 'b' }] },
      "missing property 'key'",
    ],
    [
      'a setting that does not exist',
      { settings: { ...BASE.settings, ASSET_S3_BUKET: 'x' } },
      'settings.ASSET_S3_BUKET: there is no such setting',
    ],
    [
      'a setting that the chart makes from another value',
      { settings: { ...BASE.settings, ASSET_WARM_UP: '3' } },
      'settings.ASSET_WARM_UP: the chart sets it',
    ],
    [
      'a setting twice',
      { extraEnv: [{ name: 'ASSET_S3_BUCKET', value: 'x' }] },
      'extraEnv: ASSET_S3_BUCKET is set elsewhere',
    ],
    [
      'an autoscaler with limits that contradict each other',
      { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 2 } },
      'autoscaling.minReplicas: must not be more',
    ],
    [
      'an autoscaler without requests of CPU',
      { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
      'resources.requests.cpu',
    ],
    ['an ingress without a host', { ingress: { grpc: { enabled: true } } }, 'ingress.grpc.host: is required'],
    [
      'one host for gRPC and HTTP',
      { ingress: { grpc: { enabled: true, host: 'a' }, http: { enabled: true, host: 'a' } } },
      'hosts of their own',
    ],
    [
      'a monitor without metrics',
      { metrics: { podMonitor: { enabled: true } } },
      'metrics.enabled: must be true',
    ],
    [
      'two monitors',
      { metrics: { enabled: true, podMonitor: { enabled: true }, serviceMonitor: { enabled: true } } },
      'scrape each pod twice',
    ],
  ])(`refuses %s${why}`, async (_what, values, message) => {
    expect(await refusal(values)).toContain(message);
  });

  withHelm(
    `knows every setting, and passes each one on that is no secret and not its own${why}`,
    async () => {
      const file = await readFile(join(CHART, 'files', 'settings.txt'), 'utf8');
      expect(file.trim().split('\n')).toEqual(Object.keys(OPTIONS).sort());
      const own = Object.keys(one(await objects({ ...BASE, metrics: { enabled: true } }), 'ConfigMap').data);
      const plain = Object.entries<Option>(OPTIONS).flatMap(([name, { secret }]) =>
        secret || (own.includes(name) && !(name in BASE.settings)) ? [] : [name],
      );
      const settings = { ...Object.fromEntries(plain.map((name) => [name, 'x'])), ASSET_STORE: 's3' };
      const values = { settings: { ...settings, ASSET_CATALOG: 'postgres' } };
      const { data } = one(await objects({ ...values, metrics: { enabled: true } }), 'ConfigMap');
      expect(Object.keys(data)).toEqual(expect.arrayContaining(plain));
    },
  );

  withHelm(`gives the service and the migration the same extra environment and volumes${why}`, async () => {
    const all = await objects(FULL);
    for (const object of [one(all, 'Deployment'), one(all, 'Job', 'assets-migrate')]) {
      const [container] = object.spec.template.spec.containers;
      expect(container!.env?.map(({ name }) => name)).toContain('NODE_EXTRA_CA_CERTS');
      expect(container!.envFrom).toContainEqual({ secretRef: { name: 'asset-settings' } });
      expect(container!.volumeMounts).toContainEqual(FULL.extraVolumeMounts[0]);
    }
    for (const name of ['assets', 'assets-migrate']) {
      const { egress } = one(all, 'NetworkPolicy', name).spec;
      expect(egress).toContainEqual(FULL.networkPolicy.egress[0]);
    }
  });

  withHelm(`leads gRPC and HTTP into the cluster by hosts of their own${why}`, async () => {
    const all = await objects(FULL);
    const hosts = ['grpc', 'http'].map((way) => {
      const { rules } = one(all, 'Ingress', `assets-${way}`).spec as unknown as {
        readonly rules: readonly { readonly host: string }[];
      };
      return rules[0]!.host;
    });
    expect(hosts).toEqual(['grpc.example', 'files.example']);
  });

  withHelm(`has the alerts of deploy/prometheus for the operator of Prometheus${why}`, async () => {
    for (const name of ['alerts.yml', 'slo.rules.yml'])
      expect(await readFile(join(CHART, 'files', name), 'utf8')).toBe(
        await readFile(join(MONITORING.prometheus, name), 'utf8'),
      );
    const metrics = { enabled: true, podMonitor: { enabled: true }, prometheusRule: { enabled: true } };
    const all = await objects({ ...BASE, metrics, service: { headless: false } });
    const { groups } = one(all, 'PrometheusRule').spec as unknown as {
      readonly groups: readonly { readonly rules: readonly Rule[] }[];
    };
    expect(groups.flatMap(({ rules }) => rules)).toEqual(allRules());
    expect(one(all, 'PodMonitor').spec['podMetricsEndpoints']).toMatchObject([{ port: 'metrics' }]);
    // Without a headless service for callers a ServiceMonitor has one of its own.
    const scraped = { ...BASE, metrics: FULL.metrics, service: { headless: false } };
    const { ports } = one(await objects(scraped), 'Service', 'assets-replicas').spec as unknown as {
      readonly ports: readonly { readonly name: string }[];
    };
    expect(ports.map(({ name }) => name)).toContain('metrics');
  });

  withHelm(`keeps the selectors of objects, which an upgrade cannot change${why}`, async () => {
    const selector = {
      'app.kubernetes.io/name': 'asset-service',
      'app.kubernetes.io/instance': 'assets',
    };
    for (const values of [BASE, FULL]) {
      const { spec } = one(await objects(values), 'Deployment');
      expect(spec['selector']).toEqual({ matchLabels: selector });
    }
  });
});
