/**
 * Starts the BFF. Any number of processes may run behind one address: what they share is in the cookie and in the service.
 *
 *     asset-service dev-token --settings > dev.env && ASSET_CONFIG_FILE=dev.env asset-service serve
 *     node build.ts && node server/main.ts
 */
import { createApp } from './app.ts';
import { loadConfig } from './config.ts';

try {
  const config = loadConfig(process.env);
  const app = await createApp(config);
  await app.listen({ host: config.host, port: config.port });
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => void app.close());
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
