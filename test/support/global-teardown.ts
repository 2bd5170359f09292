import './global-setup.ts';

/** Stops what `global-setup.ts` started. */
export default async function globalTeardown(): Promise<void> {
  await Promise.all((globalThis.startedServers ?? []).map((server) => server.dispose()));
}
