import { createSecureContext } from 'node:tls';
import { Mistakes } from './settings.ts';
import type { Settings } from './options/options.ts';

/** Certificate, key and trusted authorities of the port, in PEM. */
export interface TlsConfig {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of client certificates; undefined if none are requested. */
  readonly clientCa: Buffer | undefined;
}

/** The settings of the files in {@link TlsConfig}. */
export const TLS_FILES = ['ASSET_TLS_CERT', 'ASSET_TLS_KEY', 'ASSET_TLS_CLIENT_CA'] as const;

/** The TLS configuration in the settings, with the current files; undefined without TLS. */
export function tlsConfig(settings: Settings, mistakes: Mistakes): TlsConfig | undefined {
  if (settings.ASSET_TLS_CLIENT_CA !== undefined && settings.ASSET_AUTH !== 'mtls') {
    mistakes.add(
      'ASSET_TLS_CLIENT_CA',
      'is of use with ASSET_AUTH=mtls alone: nobody would be asked for a certificate',
    );
  }
  const given = TLS_FILES.find((name) => settings[name] !== undefined);
  if (given === undefined) return undefined;
  const read = (name: (typeof TLS_FILES)[number], because: string) =>
    mistakes.readFile(name, mistakes.require(name, because));
  const because = given === 'ASSET_TLS_CERT' ? 'ASSET_TLS_KEY' : given;
  const cert = read('ASSET_TLS_CERT', because);
  const key = read('ASSET_TLS_KEY', given);
  const clientCa =
    settings.ASSET_TLS_CLIENT_CA === undefined ? undefined : read('ASSET_TLS_CLIENT_CA', 'ASSET_AUTH=mtls');
  const tls = { cert, key, clientCa };
  const problem = [cert, key, clientCa].some((file) => file?.length === 0) ? undefined : problemOf(tls);
  if (problem !== undefined) mistakes.add('ASSET_TLS_CERT', problem);
  return tls;
}

/**
 * Reads the TLS files again.
 *
 * @throws SettingsError if they cannot be read or do not match, for example during their replacement
 */
export function reloadTls(settings: Settings): TlsConfig | undefined {
  const mistakes = new Mistakes(settings);
  const tls = tlsConfig(settings, mistakes);
  mistakes.report();
  return tls;
}

function problemOf({ cert, key, clientCa }: TlsConfig): string | undefined {
  try {
    createSecureContext({ cert, key, ...(clientCa && { ca: clientCa }) });
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'not PEM';
    return `certificate, key and authorities cannot be used together (${code})`;
  }
}
