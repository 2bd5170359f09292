import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';

const TIMEOUT_MS = 5000;

/** Asks grpc.health.v1 of a service whether it can work. */
export async function checkHealth(
  url: string,
): Promise<{ readonly serving: boolean; readonly line: string }> {
  const health = createClient(Health, createGrpcTransport({ baseUrl: url }));
  const { status } = await health.check({ service: '' }, { timeoutMs: TIMEOUT_MS });
  return {
    serving: status === HealthCheckResponse_ServingStatus.SERVING,
    line: HealthCheckResponse_ServingStatus[status],
  };
}
