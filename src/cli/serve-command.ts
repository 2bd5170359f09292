import type { App } from '../app/app.ts';
import { ExplainedError } from '../config/explain.ts';
import { isText, openLog, type LogFormat } from '../telemetry/log.ts';
import { SettingsError } from '../config/settings.ts';
import { configuration, explained } from './configuration.ts';
import { explain } from './explain.ts';
import { say } from './terminal.ts';

/**
 * Runs the service until SIGTERM or SIGINT. If it cannot start, prints one line to standard error in the format of
 * the log.
 */
export async function serve(): Promise<void> {
  let app: App;
  try {
    app = await start();
  } catch (error) {
    // On a terminal the error looks like that of every other command.
    if (isText((process.env['ASSET_LOG_FORMAT'] || 'auto') as LogFormat, process.stderr)) throw error;
    tellFailedStart(error);
    process.exitCode = 1;
    return;
  }
  const isClosed = await new Promise<boolean>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        // A second signal ends the process at once, as without this handler.
        app.close().then(
          () => resolve(true),
          (error: unknown) => {
            say(explain(error));
            resolve(false);
          },
        );
      });
    }
  });
  // Handles that libraries keep open must not keep a drained process alive.
  process.exit(isClosed ? 0 : 1);
}

async function start(): Promise<App> {
  const { createLogger } = await import('../app/drivers.ts');
  const { startApp } = await import('../app/app.ts');
  const config = configuration();
  const log = createLogger(config);
  // By default Node.js prints both to standard error instead of the log.
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => log.warn({ warning: name }, message));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the process ends because of an uncaught error');
    process.exit(1);
  });
  if (config.settings.ASSET_WARM_UP > 0) {
    const { warmUp } = await import('../app/warm-up.ts');
    await warmUp(config.settings.ASSET_WARM_UP, log, startApp);
  }
  return explained(config, () => startApp(config, log));
}

function tellFailedStart(error: unknown): void {
  const log = openLog('fatal', process.stderr);
  const text = 'the service does not start';
  if (error instanceof SettingsError) log.fatal({ mistakes: error.mistakes }, text);
  else if (error instanceof ExplainedError) log.fatal({ cause: error.message }, text);
  else log.fatal({ err: error }, text);
}
