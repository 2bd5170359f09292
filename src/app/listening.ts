import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import { reloadTls, TLS_FILES } from '../config/tls.ts';
import { listen, type Listener } from '../rpc/listener/listener.ts';
import { isStreamingCall } from '../rpc/rpc-handlers.ts';
import { watchFiles } from '../system/watch-files.ts';

/** Opens the port of the service, and renews its certificate when the files change until `stopWatching` is called. */
export async function openListener(
  config: Config,
  log: Logger,
): Promise<{ readonly listener: Listener; readonly stopWatching: () => void }> {
  const { settings } = config;
  const listener = await listen({
    ...settings.ASSET_LISTEN,
    reusePort: settings.ASSET_REUSE_PORT,
    tls: config.tls,
    connections: {
      total: settings.ASSET_LIMIT_CONNECTIONS,
      perAddress: settings.ASSET_LIMIT_CONNECTIONS_PER_ADDRESS,
    },
    age: {
      maxMs: settings.ASSET_CONNECTION_MAX_AGE,
      graceMs: settings.ASSET_CONNECTION_MAX_AGE_GRACE,
    },
    times: {
      bodyMs: settings.ASSET_LIMIT_BODY_TIME,
      idleMs: settings.ASSET_LIMIT_IDLE_TIME,
      isStream: isStreamingCall,
    },
  });
  return { listener, stopWatching: renewCertificates(config, listener, log) };
}

/** Reloads the TLS files when they change; returns a function that stops it. */
function renewCertificates({ settings }: Config, listener: Listener, log: Logger): () => void {
  const paths = TLS_FILES.flatMap((name) => settings[name] ?? []);
  return watchFiles(paths, () => {
    try {
      const tls = reloadTls(settings);
      if (tls === undefined) return;
      listener.renew(tls);
      log.info('the certificate was read anew');
    } catch (error) {
      // Half of a replacement: the other file will change too.
      log.warn({ err: error }, 'the certificate cannot be read anew: the last one goes on being used');
    }
  });
}
