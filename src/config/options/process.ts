import { option, seconds, text, type Option } from './option.ts';

/** How a replica starts, gives up connections, and stops. */
export const PROCESS_OPTIONS = {
  ASSET_WARM_UP: option(
    seconds(0, 60),
    '0',
    'Seconds before the start in which the service makes calls to itself, on throw-away data in the temporary directory, so that the first callers do not wait for the compiler. Worth it if other replicas serve meanwhile. 0: none.',
  ),
  ASSET_COMPILE_CACHE: option(
    text().optional(),
    '',
    'Directory in which Node.js keeps compiled code between starts; it is created. Only in the environment, not in ASSET_CONFIG_FILE. Who can write to it can run code as the service. By default none, or that of NODE_COMPILE_CACHE.',
  ),
  ASSET_CONNECTION_MAX_AGE: option(
    seconds(0, 604_800),
    '0',
    'Seconds after which a connection takes no new calls, with a random tenth more or less: its client opens another one, which a balancer of connections may send to another replica. Running calls finish. 0: no limit.',
  ),
  ASSET_CONNECTION_MAX_AGE_GRACE: option(
    seconds(0, 604_800),
    '0',
    'Seconds that running calls of a connection get to finish after ASSET_CONNECTION_MAX_AGE; then they are ended. 0: no limit.',
  ),
  ASSET_DRAIN_DELAY: option(
    seconds(0, 3600),
    '0',
    'Seconds after SIGTERM in which health is NOT_SERVING already, but all calls are still served: as long as balancers take to notice. 0 if they know before, as in Kubernetes with a preStop hook.',
  ),
  ASSET_DRAIN_TIMEOUT: option(
    seconds(0, 3600),
    '30',
    'Seconds that running calls get to finish after SIGTERM and ASSET_DRAIN_DELAY.',
  ),
} as const satisfies Record<string, Option>;
