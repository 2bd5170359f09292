import type { ConnectRouter } from '@connectrpc/connect';
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from '@asset-service/contract/grpc/health/v1/health_pb.js';
import { Code, ConnectError } from '@connectrpc/connect';
import type { HealthMonitor } from '../../telemetry/health-monitor.ts';

/**
 * Serves grpc.health.v1.Health: the whole process under the empty name, the AssetService under its full name, and
 * dependencies under theirs.
 */
export function healthRoutes(monitor: HealthMonitor): (router: ConnectRouter) => void {
  const statusOf = (service: string): Status => {
    const serving = monitor.isServing(service);
    if (serving === undefined) return Status.SERVICE_UNKNOWN;
    return serving ? Status.SERVING : Status.NOT_SERVING;
  };
  return (router) =>
    router.service(Health, {
      check({ service }) {
        const status = statusOf(service);
        if (status !== Status.SERVICE_UNKNOWN) return { status };
        throw new ConnectError(`there is no service ${JSON.stringify(service)}`, Code.NotFound);
      },

      list() {
        return {
          statuses: Object.fromEntries(monitor.services.map((name) => [name, { status: statusOf(name) }])),
        };
      },

      async *watch({ service }, context) {
        let sent: Status | undefined;
        while (!context.signal.aborted) {
          const changed = monitor.nextChange(context.signal);
          const status = statusOf(service);
          if (status !== sent) yield { status };
          sent = status;
          if (monitor.isClosed) throw new ConnectError('this replica is shutting down', Code.Unavailable);
          await changed;
        }
      },
    });
}
