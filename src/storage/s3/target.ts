import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getEndpointFromInstructions } from '@smithy/core/endpoints';

/** Where the objects of a bucket are, and how requests to it are signed. */
export interface S3Target {
  readonly url: URL;
  /** What comes before the key in a path; ends with a slash. */
  readonly path: string;
  /** Region and service that signatures name. */
  readonly region: string;
  readonly service: string;
}

/**
 * Asks the endpoint rules of the SDK where a bucket, an access point or its alias is, with the options of the client.
 *
 * @param endpoint - address that readers use instead of that of the client; its own options (dual stack, acceleration) do
 *   not apply to it
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
