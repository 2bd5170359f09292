/**
 * Preloaded into the service by the fault tests (`node --import`): does something to its own process at one of the
 * service's points. The file that ASSET_TEST_FAULT_PLAN names says what, as JSON `{point, nth, signal}`; SIGUSR2 has it
 * read again. An empty file means nothing. The product knows nothing of this.
 */
import { channel } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';

let armed;

function arm() {
  if (armed) channel(armed.name).unsubscribe(armed.onReached);
  armed = undefined;
  const text = readFileSync(process.env.ASSET_TEST_FAULT_PLAN, 'utf8');
  if (text === '') return;
  const { point, nth, signal } = JSON.parse(text);
  let left = nth;
  const plan = {
    name: `asset-service:${point}`,
    onReached() {
      left -= 1;
      if (left !== 0) return;
      writeFileSync(`${process.env.ASSET_TEST_FAULT_PLAN}.done`, point);
      // Takes effect at once: nothing after the point runs.
      process.kill(process.pid, signal);
    },
  };
  armed = plan;
  channel(plan.name).subscribe(plan.onReached);
}

process.on('SIGUSR2', arm);
arm();
