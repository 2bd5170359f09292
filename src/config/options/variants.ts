import { bytes, count, option, seconds, type Option } from './option.ts';

/** Settings of the processes that make variants of images. */
export const VARIANT_OPTIONS = {
  ASSET_VARIANT_CONCURRENCY: option(
    count(1, 64),
    '2',
    'Number of processes that make variants of images at the same time. They start when a variant is requested.',
  ),
  ASSET_VARIANT_QUEUE: option(
    count(0, 100_000),
    '64',
    'Maximum number of variants that wait to be made; one more gets RESOURCE_EXHAUSTED at once.',
  ),
  ASSET_VARIANT_TIMEOUT: option(
    seconds(0.1, 600),
    '10',
    'Seconds of CPU time that one variant may take, and six times as much time. On systems other than Linux, seconds of time.',
  ),
  ASSET_VARIANT_MEMORY: option(
    bytes(2 ** 27, 2 ** 40),
    '512MiB',
    'Maximum memory of one process that makes variants, in bytes; on Linux.',
  ),
} as const satisfies Record<string, Option>;
