import { count, option, seconds, type Option } from './option.ts';

/**
 * Limits that protect callers from each other. They apply per replica. Limits per caller have no effect with
 * ASSET_AUTH=none, which does not distinguish callers.
 */
export const LIMIT_OPTIONS = {
  ASSET_LIMIT_READS: option(
    count(0, 1_000_000),
    '5000',
    "Reading calls, such as GetFile, of one caller per second. A caller is a principal together with its end user. Bursts of five seconds' worth are allowed once a minute. 0, or ASSET_AUTH=none: no limit.",
  ),
  ASSET_LIMIT_WRITES: option(
    count(0, 1_000_000),
    '2000',
    'Writing calls, including uploads, of one caller per second. 0, or ASSET_AUTH=none: no limit.',
  ),
  ASSET_LIMIT_REFUSALS: option(
    count(0, 1_000_000),
    '100',
    'Calls with a missing or invalid identity per second and remote address; an address beyond that is refused entirely. The same limit applies to each person whose token a known service sends, and to unreadable messages of a known caller. 0: no limit; use it if all callers share one proxy.',
  ),
  ASSET_LIMIT_UPLOADS: option(
    count(0, 100_000),
    '200',
    'Maximum number of running uploads of one caller; one more gets RESOURCE_EXHAUSTED at once. 0, or ASSET_AUTH=none: only ASSET_MAX_UPLOADS applies.',
  ),
  ASSET_LIMIT_OPEN_UPLOADS: option(
    count(0, 1000),
    '256',
    'Maximum number of unfinished uploads that one caller began with StartUpload, on all replicas together; one more gets RESOURCE_EXHAUSTED (TOO_MANY_UPLOADS). With ASSET_AUTH=none all callers count as one. 0: no limit.',
  ),
  ASSET_LIMIT_DOWNLOADS: option(
    count(0, 100_000),
    '200',
    'Maximum number of running downloads of one caller through the service. 0, or ASSET_AUTH=none: no limit.',
  ),
  ASSET_LIMIT_WATCHES: option(
    count(0, 100_000),
    '256',
    'Maximum number of running WatchFiles calls of one caller; one more gets RESOURCE_EXHAUSTED (RATE_LIMITED). 0, or ASSET_AUTH=none: only ASSET_MAX_WATCHES applies.',
  ),
  ASSET_MAX_WATCHES: option(
    count(0, 100_000),
    '1000',
    'Maximum number of running WatchFiles calls of all callers. A watch whose caller reads slowly holds up to half a MiB. 0: no limit.',
  ),
  ASSET_LIMIT_MEMORY_SHARE: option(
    count(1, 100),
    '75',
    'Percent of ASSET_UPLOAD_MEMORY that the uploads of one caller may hold; the rest is for others. No effect with ASSET_AUTH=none, which does not distinguish callers.',
  ),
  ASSET_LIMIT_CONNECTIONS: option(
    count(0, 1_000_000),
    '4096',
    'Maximum number of open connections; one more is closed at once. 0: no limit.',
  ),
  ASSET_LIMIT_CONNECTIONS_PER_ADDRESS: option(
    count(0, 1_000_000),
    '1024',
    'Maximum number of open connections from one remote address (of the proxy, if there is one). 0: no limit.',
  ),
  ASSET_LIMIT_BODY_TIME: option(
    seconds(1, 3600),
    '30',
    'Seconds within which the headers of a request must arrive, and its body unless the call is a stream.',
  ),
  ASSET_LIMIT_IDLE_TIME: option(
    seconds(0.1, 86_400),
    '90',
    'Seconds that a call may make no progress because its caller neither sends nor reads the response.',
  ),
} as const satisfies Record<string, Option>;
