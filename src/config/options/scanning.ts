import { z } from 'zod';
import { bytes, option, seconds, socketAddress, type Option } from './types.ts';

/** Settings of the malware scanner. */
export const SCANNING_OPTIONS = {
  ASSET_CLAMD_ADDRESS: option(
    socketAddress().optional(),
    '',
    'Address of clamd (ClamAV): host:port, or the path of a Unix socket. It scans every new file before the file becomes visible. By default nothing is scanned.',
  ),
  ASSET_CLAMD_ON_FAILURE: option(
    z.enum(['fail-closed', 'fail-open']),
    'fail-closed',
    'What happens to a file that cannot be scanned because clamd is not available or the file is too large: fail-closed refuses it, fail-open stores it with a warning in the log.',
  ),
  ASSET_CLAMD_MAX_SIZE: option(
    bytes(1, 2 ** 32 - 1),
    '25MiB',
    'Maximum size of a file that clamd accepts: its StreamMaxLength or less.',
  ),
  ASSET_CLAMD_TIMEOUT: option(
    seconds(0.1, 3600),
    '150',
    'Seconds that clamd may accept no bytes or take to respond: more than its MaxScanTime.',
  ),
} as const satisfies Record<string, Option>;
