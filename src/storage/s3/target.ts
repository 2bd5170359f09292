import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getEndpointFromInstructions } from '@smithy/core/endpoints';

/** Address of a bucket's objects, and scope of signatures. */
export interface S3Target {
  readonly url: URL;
  /** Path before the key; ends with a slash. */
  readonly path: string;
  /** Region and service in signatures. */
  readonly region: string;
  readonly service: string;
}

/**
 * Resolves the address of a bucket, an access point or its alias with the SDK's endpoint rules and the client's
 * options.
 *
 * @param endpoint - address for readers instead of the client's; the client's options (dual stack, acceleration) do
 * not apply to it
 */
export async function resolveTarget(client: S3Client, bucket: string, endpoint?: string): Promise<S3Target> {
  const config = {
    ...client.config,
    ...(endpoint !== undefined && {
      endpoint: () => Promise.resolve(toEndpoint(new URL(endpoint))),
      isCustomEndpoint: true,
      useDualstackEndpoint: () => Promise.resolve(false),
      useFipsEndpoint: () => Promise.resolve(false),
      useAccelerateEndpoint: false,
    }),
  };
  const { url, properties } = await getEndpointFromInstructions({ Bucket: bucket }, PutObjectCommand, config);
  const [scheme] = (properties?.['authSchemes'] ?? []) as { signingRegion?: string; signingName?: string }[];
  return {
    url,
    path: `${url.pathname.replace(/\/$/, '')}/`,
    region: scheme?.signingRegion ?? (await client.config.region()),
    service: scheme?.signingName ?? 's3',
  };
}

function toEndpoint({ protocol, hostname, port, pathname }: URL) {
  return { protocol, hostname, ...(port !== '' && { port: Number(port) }), path: pathname };
}

/** Calls `resolve` once and keeps its result; calls it again after a failure. */
export function resolvedOnce<T>(resolve: () => Promise<T>): () => Promise<T> {
  let resolved: Promise<T> | undefined;
  return async () => {
    resolved ??= resolve();
    try {
      return await resolved;
    } catch (error) {
      resolved = undefined;
      throw error;
    }
  };
}
