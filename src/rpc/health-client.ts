import { createClient, type Client } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';

/** Shorter than the timeout of the image's health check, so that its log shows why there was no answer. */
const TIMEOUT_MS = 4000;

/** A service to check. */
export interface HealthTarget {
  readonly url: string;
  /** True accepts any certificate. */
  readonly anyCertificate?: boolean;
  /** PEM certificates: `ca` to trust, `cert` and `key` of the client. */
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/**
 * Asks grpc.health.v1 for the status of a service.
 *
 * @returns `line` is the status; NOT_SERVING with the names of what is missing, such as `NOT_SERVING: catalog`
 */
export async function checkHealth(
  target: HealthTarget,
): Promise<{ readonly serving: boolean; readonly line: string }> {
  const nodeOptions = { ...target.tls, rejectUnauthorized: target.anyCertificate !== true };
  const health = createClient(Health, createGrpcTransport({ baseUrl: target.url, nodeOptions }));
  const { status } = await health.check({ service: '' }, { timeoutMs: TIMEOUT_MS });
  const serving = status === Status.SERVING;
  const lacks = serving ? '' : await lacking(health);
  return { serving, line: lacks === '' ? Status[status] : `${Status[status]}: ${lacks}` };
}

/** The dependencies that are down, separated by commas; empty if the service does not say. */
async function lacking(health: Client<typeof Health>): Promise<string> {
  try {
    const { statuses } = await health.list({}, { timeoutMs: TIMEOUT_MS });
    const names = Object.keys(statuses).filter((name) => statuses[name]?.status !== Status.SERVING);
    // Names with a dot are RPC services, which need the same as the whole process.
    const down = names.filter((name) => name !== '' && !name.includes('.'));
    return down.length > 0 ? down.sort().join(', ') : 'it is shutting down';
  } catch {
    return '';
  }
}
