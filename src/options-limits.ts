import { count, option, seconds, type Option } from './option-types.ts';

/** The settings that keep one caller from taking what others need. They hold for each replica. */
export const LIMIT_OPTIONS = {
  ASSET_LIMIT_CONNECTIONS: option(
    count(0, 1_000_000),
    '4096',
    'Greatest number of open connections; one more is closed at once. 0: any number.',
  ),
  ASSET_LIMIT_CONNECTIONS_PER_ADDRESS: option(
    count(0, 1_000_000),
    '1024',
    'Greatest number of open connections from one remote address, which is that of the proxy where there is one. 0: any number.',
  ),
  ASSET_LIMIT_BODY_TIME: option(
    seconds(1, 3600),
    '30',
    'Seconds in which the headers of a request have to come, and its body too if the call is no stream.',
  ),
  ASSET_LIMIT_IDLE_TIME: option(
    seconds(0.1, 86_400),
    '90',
    'Seconds that a call may stand still because its caller sends no more or does not read the answer, such as a download.',
  ),
} as const satisfies Record<string, Option>;
