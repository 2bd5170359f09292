import { expect, it } from '@jest/globals';
import { freePort } from '../support/ports.ts';
import { startService } from '../support/service.ts';
import { clientOf, randomContent, upload } from './support/calls.ts';
import { eventually } from '../support/eventually.ts';
import { POSTGRES } from './support/setups.ts';

it('lets several processes answer on one port', async () => {
  const setup = await POSTGRES.open();
  const port = await freePort();
  const env = { ...setup.env, ASSET_REUSE_PORT: 'true' };
  const services = [await startService(env, { port }), await startService(env, { port })];
  // Either may answer for the health of both.
  for (const service of services) {
    await eventually(
      () => expect(service.logLines().some(({ msg }) => msg === 'listening')).toBe(true),
      60_000,
    );
  }
  // The kernel decides by connection; thirty of them do not all meet one process.
  for (let connection = 0; connection < 30; connection++)
    await upload(clientOf(services[0]!.url), randomContent(10));
  const calls = () =>
    services.map((service) => service.logLines().filter(({ rpc }) => rpc === 'Upload').length);
  await eventually(() => expect(calls()[0]! + calls()[1]!).toBe(30));
  expect(Math.min(...calls())).toBeGreaterThan(0);
  for (const service of services) await service.dispose();
  await setup.dispose();
});
