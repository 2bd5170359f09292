import { z } from 'zod';
import { bytes, option, seconds, socketAddress, type Option } from './types.ts';

/** The settings of the malware scanner. */
export const SCANNING_OPTIONS = {
  ASSET_CLAMD_ADDRESS: option(
    socketAddress().optional(),
    '',
    'Where the clamd of ClamAV listens: host:port, or the path of a Unix socket. Every new file is scanned by it before it becomes visible. By default nothing is scanned.',
  ),
  ASSET_CLAMD_ON_FAILURE: option(
    z.enum(['fail-closed', 'fail-open']),
    'fail-closed',
    'What becomes of a file that cannot be scanned, because clamd cannot be used or the file is too large: fail-closed refuses it, fail-open stores it with a warning in the log.',
  ),
  ASSET_CLAMD_MAX_SIZE: option(
    bytes(1, 2 ** 32 - 1),
    '25MiB',
    'Greatest size of a file that clamd takes: its StreamMaxLength, or less.',
  ),
  ASSET_CLAMD_TIMEOUT: option(
    seconds(0.1, 3600),
    '150',
    'Seconds that clamd may take no bytes, or think about its answer: more than its MaxScanTime.',
  ),
} as const satisfies Record<string, Option>;
