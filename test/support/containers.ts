import { GenericContainer, getContainerRuntimeClient, Wait, type StartedTestContainer } from 'testcontainers';
import { S3_KEYS, type S3Address } from './seaweedfs.ts';

/** A server in a container. */
export type Contained<Address> = Address & {
  /** Stops and removes the container. */
  dispose(): Promise<void>;
};

/** Returns whether a container engine answers. */
export async function hasContainerEngine(): Promise<boolean> {
  try {
    await getContainerRuntimeClient();
    return true;
  } catch {
    return false;
  }
}

/** Starts SeaweedFS in a container. */
export async function containSeaweedFS(): Promise<Contained<S3Address>> {
  const container = await new GenericContainer('chrislusf/seaweedfs:4.48')
    .withEnvironment({
      AWS_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
    })
    .withCommand([
      ...['mini', '-dir=/data', '-master.telemetry=false', '-admin.ui=false', '-webdav=false'],
      '-s3.autoCreateBucket=false',
    ])
    .withExposedPorts(8333)
    .withWaitStrategy(Wait.forHttp('/healthz', 8333))
    .start();
  return s3Address(container, 8333);
}

/** Starts VersityGW in a container. */
export async function containVersityGW(): Promise<Contained<S3Address>> {
  const container = await new GenericContainer('versity/versitygw:v1.8.0')
    .withEnvironment({ ROOT_ACCESS_KEY: S3_KEYS.accessKeyId, ROOT_SECRET_KEY: S3_KEYS.secretAccessKey })
    .withCommand(['--port', ':7070', '--health', '/health', '--quiet', 'posix', '/tmp'])
    .withExposedPorts(7070)
    .withWaitStrategy(Wait.forHttp('/health', 7070))
    .start();
  return s3Address(container, 7070);
}

/** Starts PostgreSQL in a container. */
export async function containPostgres(): Promise<Contained<{ readonly url: string }>> {
  const container = await new GenericContainer('postgres:18-alpine')
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: 'trust' })
    .withCommand(['-c', 'max_connections=200'])
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .start();
  const url = `postgres://postgres@${container.getHost()}:${container.getMappedPort(5432)}/postgres`;
  return { url, dispose: () => remove(container) };
}

function s3Address(container: StartedTestContainer, port: number): Contained<S3Address> {
  const endpoint = `http://${container.getHost()}:${container.getMappedPort(port)}`;
  return { endpoint, region: 'us-east-1', ...S3_KEYS, dispose: () => remove(container) };
}

async function remove(container: StartedTestContainer): Promise<void> {
  await container.stop();
}
