import { count, option, seconds, type Option } from './types.ts';

/**
 * The settings that keep one caller from taking what others need. They hold for each replica. Those of a caller have no effect
 * with ASSET_AUTH=none, which tells no callers apart.
 */
export const LIMIT_OPTIONS = {
  ASSET_LIMIT_READS: option(
    count(0, 1_000_000),
    '5000',
    'Calls that read, such as GetFile, which one caller may make in a second: a principal together with the end user that it acts for. Once a minute five seconds of them may come at once. 0, or ASSET_AUTH=none: any number.',
  ),
  ASSET_LIMIT_WRITES: option(
    count(0, 1_000_000),
    '2000',
    'Calls that change something, uploads too, which one caller may make in a second. 0, or ASSET_AUTH=none: any number.',
  ),
  ASSET_LIMIT_REFUSALS: option(
    count(0, 1_000_000),
    '100',
    'Calls without an identity, or with a wrong one, that one remote address may make in a second before it is not listened to. The same holds for each person whose token a known service sends, and for messages of a known caller that cannot be read. 0: any number; so where one proxy stands before all callers.',
  ),
  ASSET_LIMIT_UPLOADS: option(
    count(0, 100_000),
    '200',
    'Greatest number of uploads that one caller has in hand; one more gets RESOURCE_EXHAUSTED at once. 0, or ASSET_AUTH=none: as many as ASSET_MAX_UPLOADS.',
  ),
  ASSET_LIMIT_OPEN_UPLOADS: option(
    count(0, 1000),
    '256',
    'Greatest number of uploads that one caller has begun with StartUpload and not finished, in all replicas together; one more gets RESOURCE_EXHAUSTED (TOO_MANY_UPLOADS). With ASSET_AUTH=none all callers are one. 0: any number.',
  ),
  ASSET_LIMIT_DOWNLOADS: option(
    count(0, 100_000),
    '200',
    'Greatest number of downloads through the service that one caller has in hand. 0, or ASSET_AUTH=none: any number.',
  ),
  ASSET_LIMIT_MEMORY_SHARE: option(
    count(1, 100),
    '75',
    'Percent of ASSET_UPLOAD_MEMORY that the uploads of one caller may hold; the rest is left to others. Of no effect with ASSET_AUTH=none, which tells no callers apart.',
  ),
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
